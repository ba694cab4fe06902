"""What a backup reads from the database besides the dump, in the same snapshot."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from koppel.cli.backup.manifest import ReaderRole
from koppel.cli.environment import BACKUP_VARIABLE, OWNER_VARIABLE, require_reachable
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import READER_PREFIX, administrator_url
from koppel.kit.encryption import Keyring

SETTINGS_IN_BACKUP = (
    "KOPPEL_PUBLIC_URL",
    "KOPPEL_PROXIES",
    "KOPPEL_TIME_ZONE",
    "KOPPEL_INSTALLATION_NUMBER",
    "KOPPEL_MAIL_FROM",
    "KOPPEL_REGISTERS",
    "KOPPEL_SANDBOX_URL",
    "KOPPEL_WEBHOOK_NETWORKS",
    "KOPPEL_SSO_NETWORKS",
    "KOPPEL_DNS_SERVERS",
)
"""Settings that are no secrets."""
_BYPASSES = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
_TABLES = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
   AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
 ORDER BY 1, 2
"""
_READERS = """
SELECT rolname, rolconnlimit, coalesce(rolconfig, '{}') FROM pg_roles
 WHERE starts_with(rolname, %s) ORDER BY 1
"""
_OWNER = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'public.kit_installation'::regclass"


def backup_url() -> str:
    """Return the address of a role that reads all rows. Raises `CommandError`."""
    url = os.environ.get(BACKUP_VARIABLE) or administrator_url()
    if not url:
        raise CommandError(
            f"{BACKUP_VARIABLE} is not set: with a database of your own, backups are made as a role that"
            " reads all rows; docs/operations.md says under Backup how to create it."
        )
    require_reachable(url, BACKUP_VARIABLE)
    return url


@contextmanager
def open_snapshot(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction that sees the database as it is now. Raises `CommandError`."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(_BYPASSES).fetchone()
        if not row or not row[0]:
            raise CommandError(
                f"The role {connection.info.user} of {BACKUP_VARIABLE} does not read all rows;"
                " docs/operations.md says under Backup which rights it needs."
            )
        if not connection.execute("SELECT to_regclass('public.kit_installation')").fetchone()[0]:  # type: ignore[index]
            raise CommandError("There is nothing to back up: the database has no tables of Koppel yet.")
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"):
            connection.execute(sql.SQL("SET {} = 0").format(sql.Identifier(limit)))
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield connection
        connection.execute("ROLLBACK")


def count_rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the number of rows of each table; of a partitioned one in all partitions."""
    rows = {}
    for schema, table in connection.execute(_TABLES).fetchall():
        question = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
        (rows[f"{schema}.{table}"],) = connection.execute(question).fetchone() or (0,)
    return rows


def applied_migrations(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    """Return `app.name` of each, as Django stored them."""
    applied = connection.execute("SELECT app || '.' || name FROM public.django_migrations ORDER BY id")
    return tuple(name for (name,) in applied.fetchall())


def reader_roles(connection: psycopg.Connection[Any]) -> tuple[ReaderRole, ...]:
    """Return the SQL readers' roles; passwords only where the role of the backup may read them."""
    rows = connection.execute(_READERS, [READER_PREFIX]).fetchall()
    may_read = connection.execute("SELECT has_table_privilege('pg_authid', 'SELECT')").fetchone()
    verifiers: dict[str, str] = {}
    if may_read and may_read[0]:
        stored = connection.execute("SELECT rolname, coalesce(rolpassword, '') FROM pg_authid")
        verifiers = dict(stored.fetchall())
    return tuple(
        ReaderRole(
            name=name, verifier=verifiers.get(name, ""), connection_limit=limit, settings=tuple(settings)
        )
        for name, limit, settings in rows
    )


def role_names(connection: psycopg.Connection[Any]) -> tuple[str, str]:
    """Return the names of the owner and of the application's role."""
    row = connection.execute(_OWNER).fetchone()
    owner = conninfo_to_dict(os.environ.get(OWNER_VARIABLE, "")).get("user")
    application = conninfo_to_dict(os.environ["DATABASE_URL"]).get("user")
    return str(row[0] if row else owner), str(application)


def vault_fingerprints(vault_keys: str) -> dict[str, str]:
    """Return the fingerprints of the keys in a value of KOPPEL_VAULT_KEYS, by id. Raises `CommandError`."""
    try:
        return Keyring.parse(vault_keys).fingerprints
    except ValueError as error:
        raise CommandError(f"The vault keys cannot be used: {error}") from None


def settings_in_backup() -> dict[str, str]:
    """Return the settings of this process that are no secrets."""
    return {name: os.environ[name] for name in SETTINGS_IN_BACKUP if os.environ.get(name)}
