"""Privileges that a SQL reader must not have; PostgreSQL grants some of them to PUBLIC by default.

A role that may create objects, even temporary ones, can shadow names in statements of other roles. Revoking
is not the only defence: Koppel's functions search only the system schema.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from koppel.kit.database.embedded_postgres import READER_PREFIX
from koppel.kit.database.sql_files import load_statements
from koppel.kit.database.superuser_script import (
    ACTIVITY_ROLE,
    DISTURBING_FUNCTIONS,
    NEVER_PUBLIC,
    SIGNAL_ROLE,
    superuser_script,
)

SCRIPT_COMMAND = "koppel sql-readers superuser-script"
PUBLIC = "public"
"""The pseudo-role PUBLIC, as PostgreSQL's privilege functions name it."""
TABLE = "public.organisations_organisation"
"""A table whose owner owns all tables of Koppel."""
_SQL = load_statements("koppel.books")


@dataclass(frozen=True, kw_only=True)
class ExcessPrivilege:
    """A privilege that a role must not have."""

    grantee: str
    privilege: str
    """What the grantee may do, such as "make temporary tables"."""
    remedy: str = ""
    """SQL for the owner of the database or a superuser; '' where the superuser script revokes it."""

    @property
    def message(self) -> str:
        return f"{self.grantee} may {self.privilege}"


def reader_roles(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the readers of this database, of every organisation.

    Readers of other databases on the same server are not included.
    """
    cursor = connection.execute(_SQL["list_reader_roles"], {"prefix": READER_PREFIX})
    return [str(role) for (role,) in cursor.fetchall()]


def excess_privileges(connection: psycopg.Connection[Any], application_role: str) -> list[ExcessPrivilege]:
    """Return the excess privileges of PUBLIC and of each reader in the database of `connection`.

    Checked are temporary tables, new schemas, new objects in the schema `public`, functions that disturb
    others, and for PUBLIC CONNECT. Also whether long sessions of readers can be ended.
    """
    public = _excess_privileges_of(connection, PUBLIC, application_role)
    roles = {"roles": [SIGNAL_ROLE, ACTIVITY_ROLE], "table": TABLE}
    [(may_end,)] = connection.execute(_SQL["may_owner_end_sessions"], roles).fetchall()
    if not may_end:
        public.append(
            ExcessPrivilege(
                grantee="Readers", privilege="keep sessions open for ever, as Koppel may not end them"
            )
        )
    of_public = {excess.privilege for excess in public}
    of_readers = [
        excess
        for role in reader_roles(connection)
        for excess in _excess_privileges_of(connection, role, application_role)
        if excess.privilege not in of_public
    ]
    return [*public, *of_readers]


def other_databases(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the other databases of the server to which PUBLIC may connect."""
    cursor = connection.execute(_SQL["list_other_open_databases"], {"role": PUBLIC})
    return [str(name) for (name,) in cursor.fetchall()]


def _excess_privileges_of(
    connection: psycopg.Connection[Any], role: str, application_role: str
) -> list[ExcessPrivilege]:
    grantee = "PUBLIC, that is everybody," if role == PUBLIC else f"The role {role}"
    return [
        *(
            ExcessPrivilege(grantee=grantee, privilege=privilege, remedy="" if role == PUBLIC else remedy)
            for privilege, remedy in _database_privileges(connection, role, application_role)
        ),
        *(
            ExcessPrivilege(grantee=grantee, privilege=privilege)
            for privilege in _code_privileges(connection, role)
        ),
    ]


def _database_privileges(
    connection: psycopg.Connection[Any], role: str, application_role: str
) -> Iterator[tuple[str, str]]:
    """Yield each excess privilege on the database or its schema `public`, and the SQL that revokes it."""
    [row] = connection.execute(_SQL["get_privileges"], {"role": role, "table": TABLE}).fetchall()
    name, owner, may_connect, may_create_temporary_tables, may_create_schemas, may_create_objects = row
    role_sql = "PUBLIC" if role == PUBLIC else _name(role)
    grant = f"GRANT CONNECT, TEMPORARY ON DATABASE {_name(name)} TO {_name(application_role)}; "
    revoke = f"REVOKE {{}} ON DATABASE {_name(name)} FROM {role_sql};"
    if may_connect and role == PUBLIC:
        yield f"connect to the database {name}", grant + revoke.format("CONNECT")
    if may_create_temporary_tables:
        yield f"make temporary tables in the database {name}", grant + revoke.format("TEMPORARY")
    if may_create_schemas:
        yield f"make schemas in the database {name}", revoke.format("CREATE")
    if may_create_objects:
        grant = f"GRANT CREATE ON SCHEMA public TO {_name(owner)};"
        yield "make objects in the schema public", f"{grant} REVOKE CREATE ON SCHEMA public FROM {role_sql};"


def _code_privileges(connection: psycopg.Connection[Any], role: str) -> Iterator[str]:
    parameters = {"role": role, "pattern": DISTURBING_FUNCTIONS, "never": list(NEVER_PUBLIC)}
    [(count,)] = connection.execute(_SQL["count_disturbing_functions"], parameters).fetchall()
    [(may_run_code,)] = connection.execute(_SQL["may_use_plpgsql"], parameters).fetchall()
    if count:
        yield f"call {count} functions that lock, write or send beyond their session"
    if may_run_code:
        yield "run programs in PL/pgSQL"


def script_of(connection: psycopg.Connection[Any], application_role: str) -> str:
    """Return the superuser script for the database of `connection`."""
    [(database, owner)] = connection.execute(_SQL["get_owner"], {"table": TABLE}).fetchall()
    return superuser_script(str(database), str(owner), application_role)


def remedy_of(excess: Sequence[ExcessPrivilege]) -> str:
    """Return a sentence that says how to remove the privileges."""
    statements = revoke_sql(excess)
    needs_script = any(not privilege.remedy for privilege in excess)
    script = f"As superuser run what `{SCRIPT_COMMAND}` prints" if needs_script else ""
    revoke = f"as superuser or owner of the database run: {statements}" if statements else ""
    sentence = ", and ".join(part for part in (script, revoke) if part)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def revoke_sql(excess: Sequence[ExcessPrivilege]) -> str:
    """Return the SQL that revokes the privileges, without duplicates."""
    statements = [part.strip() for privilege in excess for part in privilege.remedy.split(";")]
    return "; ".join(dict.fromkeys(filter(None, statements)))


def _name(role: str) -> str:
    return sql.Identifier(role).as_string()
