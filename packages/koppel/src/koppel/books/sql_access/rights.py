"""Rights that a SQL reader must not have; PostgreSQL grants some of them to PUBLIC by default.

A role that may create objects, even temporary ones, can shadow names in statements of other roles. Revoking
is not the only defence: Koppel's functions search only the system schema.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from koppel.kit.database.sql_files import load_statements

READER_PREFIX = "koppel_reader_"
PUBLIC = "public"
"""The pseudo-role PUBLIC, as PostgreSQL's privilege functions name it."""
TABLE = "public.organisations_organisation"
"""A table whose owner owns all tables of Koppel."""
_SQL = load_statements("koppel.books")


@dataclass(frozen=True)
class ExcessRight:
    """An excess right. `remedy` is SQL for the owner of the database or a superuser."""

    message: str
    remedy: str


def reader_roles(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the readers of this database, of every organisation.

    Readers of other databases on the same server are not included.
    """
    cursor = connection.execute(_SQL["list_reader_roles"], {"prefix": READER_PREFIX})
    return [str(role) for (role,) in cursor.fetchall()]


def excess_rights(connection: psycopg.Connection[Any], application_role: str) -> list[ExcessRight]:
    """Return the excess rights of PUBLIC and of each reader in the database of `connection`.

    Checked are temporary tables, new schemas, new objects in the schema `public`, and for PUBLIC the right to
    connect.
    """
    excess = _excess_rights(connection, PUBLIC, application_role)
    of_everybody = {right.message.partition(" may ")[2] for right in excess}
    for role in reader_roles(connection):
        excess += [
            right
            for right in _excess_rights(connection, role, application_role)
            if right.message.partition(" may ")[2] not in of_everybody
        ]
    return excess


def other_databases(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the other databases of the server to which PUBLIC may connect."""
    cursor = connection.execute(_SQL["list_other_open_databases"], {"role": PUBLIC})
    return [str(name) for (name,) in cursor.fetchall()]


def _excess_rights(
    connection: psycopg.Connection[Any], role: str, application_role: str
) -> list[ExcessRight]:
    [(name, owner, connects, makes_temporary, makes_schemas, makes_objects)] = connection.execute(
        _SQL["get_rights"], {"role": role, "table": TABLE}
    ).fetchall()
    who = "PUBLIC" if role == PUBLIC else _name(role)
    who_says = "PUBLIC, that is everybody," if role == PUBLIC else f"The role {role}"
    keep = f"GRANT CONNECT, TEMPORARY ON DATABASE {_name(name)} TO {_name(application_role)}; "
    revoke = f"REVOKE {{}} ON DATABASE {_name(name)} FROM {who};"
    rights = (
        (connects and role == PUBLIC, f"connect to the database {name}", keep + revoke.format("CONNECT")),
        (makes_temporary, f"make temporary tables in the database {name}", keep + revoke.format("TEMPORARY")),
        (makes_schemas, f"make schemas in the database {name}", revoke.format("CREATE")),
        (
            makes_objects,
            "make objects in the schema public",
            f"GRANT CREATE ON SCHEMA public TO {_name(owner)}; REVOKE CREATE ON SCHEMA public FROM {who};",
        ),
    )
    return [
        ExcessRight(f"{who_says} may {privilege}", remedy) for holds, privilege, remedy in rights if holds
    ]


def revoke_sql(rights: list[ExcessRight]) -> str:
    """Return the SQL that removes the rights, without duplicates."""
    statements = [
        statement.strip() for right in rights for statement in right.remedy.split(";") if statement.strip()
    ]
    return "; ".join(dict.fromkeys(statements))


def _name(role: str) -> str:
    return sql.Identifier(role).as_string()
