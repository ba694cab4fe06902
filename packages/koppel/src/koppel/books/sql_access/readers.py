"""PostgreSQL roles that read an organisation's books by SQL. Creating one needs the owner's database URL."""

import contextlib
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import sql

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.audit_actions import SqlReaderAction
from koppel.books.errors import ReaderRefused
from koppel.books.sql_access.privileges import excess_privileges, remedy_of, script_of
from koppel.books.sql_access.views import grants
from koppel.kit.database.embedded_postgres import READER_PREFIX, scram_verifier
from koppel.kit.database.sql_files import load_statements
from koppel.kit.encryption import Secret
from koppel.organisations.roles import Actor, Permission

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
CONNECTIONS_MAX = 4
_SQL = load_statements("koppel.books")
_ROLE_SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10min",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "1h",
    "max_parallel_workers_per_gather": "0",
}
"""Defaults that the role may change for itself, unlike its rights. `session_limits` holds it to the times."""
_SETTINGS_OF_SOME_SYSTEMS = {"client_connection_check_interval": "10s"}
"""Servers on other systems cannot tell that a client has gone, and refuse these."""
_SUPERUSER_SETTINGS = {"temp_file_limit": "2GB"}
"""Only a superuser may set these, and the role may not change them."""


@dataclass(frozen=True)
class Reader:
    """An SQL reader."""

    role: str
    created_at: datetime
    created_by: str
    exists: bool
    """False when the role was dropped in PostgreSQL itself."""


@dataclass(frozen=True)
class NewReader:
    """A created reader."""

    role: str
    url: Secret
    """Contains the password, which is shown once and not stored."""


def readers(actor: Actor) -> list[Reader]:
    """Return the readers of the actor's organisation, by name."""
    actor.require(Permission.MANAGE_ORGANISATION)
    with _as_owner() as owner:
        result = owner.execute(_SQL["list_readers"], {"organisation": actor.organisation_id})
        return [Reader(*row) for row in result.fetchall()]


def add_reader(actor: Actor, name: str, *, administrator_url: str = "") -> NewReader:
    """Create a role that can only read this organisation's books.

    `administrator_url` is the database URL of a role that may create roles, if the owner may not. Raises
    `ReaderRefused`.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    role, password = role_name(name), secrets.token_urlsafe(24)
    with _as_owner() as owner:
        if owner.execute(_SQL["has_reader"], {"role": role}).fetchone():
            raise ReaderRefused(f"There is a reader {name!r} already; remove it first, or take another name.")
        _refuse_excess_privileges(owner)
        _create_role(administrator_url or _owner_url(), role, password)
        owner.execute(
            _SQL["insert_reader"], {"role": role, "organisation": actor.organisation_id, "name": actor.name}
        )
        for statement in grants(role):
            owner.execute(statement.encode())
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        SqlReaderAction.CREATED,
        subject=Subject(kind=SubjectKind.SQL_READER, id=None, name=role),
    )
    return NewReader(role, Secret(_url_of(role, password)))


def remove_reader(actor: Actor, name: str, *, administrator_url: str = "") -> None:
    """End the sessions of a reader and drop its role. Raises `ReaderRefused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    role = role_name(name)
    with _as_owner() as owner:
        row = owner.execute(
            _SQL["delete_reader"], {"role": role, "organisation": actor.organisation_id}
        ).fetchone()
        if row is None:
            raise ReaderRefused(f"There is no reader {name!r}.")
        if owner.execute(_SQL["has_role"], {"role": role}).fetchone():
            for statement in _revocations(role):
                owner.execute(statement)
    _drop_role(administrator_url or _owner_url(), role)
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        SqlReaderAction.REMOVED,
        subject=Subject(kind=SubjectKind.SQL_READER, id=None, name=role),
    )


def superuser_script() -> str:
    """Return the SQL that a superuser runs before the first reader, and after a restore or major upgrade."""
    with _as_owner() as owner:
        return script_of(owner, str(connections["default"].settings_dict["USER"]))


def role_name(name: str) -> str:
    """Return the role name of a reader. Raises `ReaderRefused` when it is not valid."""
    short = name.strip().lower().removeprefix(READER_PREFIX)
    if NAME.fullmatch(short) is None:
        raise ReaderRefused(
            f"{name!r} cannot be a reader's name: take letters, digits and _, beginning with a letter."
        )
    return READER_PREFIX + short


@contextmanager
def _as_owner() -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    with psycopg.connect(_owner_url()) as connection:
        yield connection


def _owner_url() -> str:
    url = settings.OWNER_DATABASE_URL
    if not url:
        raise ReaderRefused(
            "KOPPEL_OWNER_DATABASE_URL is not set: readers are made as the role that owns the tables."
        )
    return str(url)


def _refuse_excess_privileges(owner: psycopg.Connection[tuple[Any, ...]]) -> None:
    if excess := excess_privileges(owner, str(connections["default"].settings_dict["USER"])):
        messages = "; ".join(privilege.message for privilege in excess)
        raise ReaderRefused(
            f"{messages}. A reader would be let into more than the books. {remedy_of(excess)}"
        )


def _create_role(url: str, role: str, password: str) -> None:
    statement = sql.SQL(
        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT CONNECTION LIMIT {} "
        "PASSWORD {}"
    )
    try:
        with psycopg.connect(url) as superuser_connection:
            verifier = sql.Literal(scram_verifier(superuser_connection, role, password))
            superuser_connection.execute(
                statement.format(sql.Identifier(role), sql.Literal(CONNECTIONS_MAX), verifier)
            )
            _set_role_settings(superuser_connection, role, _ROLE_SETTINGS)
            for settings_of_some in (_SETTINGS_OF_SOME_SYSTEMS, _SUPERUSER_SETTINGS):
                with (
                    contextlib.suppress(
                        psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidParameterValue
                    ),
                    superuser_connection.transaction(),
                ):
                    _set_role_settings(superuser_connection, role, settings_of_some)
            superuser_connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(superuser_connection.info.dbname), sql.Identifier(role)
                )
            )
    except psycopg.errors.InsufficientPrivilege:
        raise ReaderRefused(
            "The owner may not create roles. Give the address of a role that may with --administrator-url,"
            " for example your server's postgres."
        ) from None
    except psycopg.errors.DuplicateObject:
        raise ReaderRefused(f"PostgreSQL has another role {role} already. Take another name.") from None


def _set_role_settings(
    superuser_connection: psycopg.Connection[tuple[Any, ...]], role: str, values: Mapping[str, str]
) -> None:
    for name, value in values.items():
        superuser_connection.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                sql.Identifier(role), sql.Identifier(name), sql.Literal(value)
            )
        )


def _drop_role(url: str, role: str) -> None:
    try:
        with psycopg.connect(url) as superuser_connection:
            superuser_connection.execute(_SQL["terminate_sessions"], {"role": role})
            name = sql.Identifier(superuser_connection.info.dbname)
            superuser_connection.execute(
                sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(name, sql.Identifier(role))
            )
            superuser_connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
    except psycopg.errors.InsufficientPrivilege:
        raise ReaderRefused(
            f"The role {role} reads nothing any more, but stays: the owner may not drop it. "
            f"Run again with --administrator-url."
        ) from None


def _revocations(role: str) -> list[bytes]:
    return [
        statement.replace("GRANT ", "REVOKE ", 1).replace(" TO ", " FROM ", 1).encode()
        for statement in grants(role)
    ]


def _url_of(role: str, password: str) -> str:
    database = connections["default"].settings_dict
    hosts, ports = (database["HOST"] or "127.0.0.1").split(","), (database["PORT"] or "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    addresses = ",".join(f"{host}:{port or '5432'}" for host, port in zip(hosts, ports, strict=False))
    return f"postgresql://{role}:{password}@{addresses}/{database['NAME']}"
