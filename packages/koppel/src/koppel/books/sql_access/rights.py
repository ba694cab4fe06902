"""Rights that a SQL reader must not have; PostgreSQL grants some of them to PUBLIC by default.

A role that may create objects, even temporary ones, can shadow names in statements of other roles. Revoking
is not the only defence: Koppel's functions search only the system schema.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from koppel.kit.database.embedded_postgres import READER_PREFIX
from koppel.kit.database.sql_files import load_statements
from koppel.kit.database.superuser_script import (
    ACTIVITY_ROLE,
    DISTURBING,
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


@dataclass(frozen=True)
class ExcessRight:
    """An excess right. `remedy` is SQL for the owner of the database or a superuser; '' where the superuser
    script removes it.
    """

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

    Checked are temporary tables, new schemas, new objects in the schema `public`, functions that disturb
    others, and for PUBLIC the right to connect. Also whether long sessions of readers can be ended.
    """
    excess = _excess_rights(connection, PUBLIC, application_role)
    rights = {"rights": [SIGNAL_ROLE, ACTIVITY_ROLE], "table": TABLE}
    [(may_end,)] = connection.execute(_SQL["may_owner_end_sessions"], rights).fetchall()
    if not may_end:
        excess.append(ExcessRight("Readers may keep sessions open for ever, as Koppel may not end them", ""))
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
    facts = {"role": role, "pattern": DISTURBING, "never": list(NEVER_PUBLIC)}
    [(functions,)] = connection.execute(_SQL["count_disturbing_functions"], facts).fetchall()
    [(runs_code,)] = connection.execute(_SQL["may_use_plpgsql"], facts).fetchall()
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
    more = (
        (functions, f"call {functions} functions of advisory locks, large objects and notifications"),
        (runs_code, "run programs in PL/pgSQL"),
    )
    return [
        *(
            ExcessRight(f"{who_says} may {privilege}", "" if role == PUBLIC else remedy)
            for holds, privilege, remedy in rights
            if holds
        ),
        *(ExcessRight(f"{who_says} may {privilege}", "") for holds, privilege in more if holds),
    ]


def script_of(connection: psycopg.Connection[Any], application_role: str) -> str:
    """Return the superuser script for the database of `connection`."""
    [(database, owner)] = connection.execute(_SQL["get_owner"], {"table": TABLE}).fetchall()
    return superuser_script(str(database), str(owner), application_role)


def remedy_of(rights: list[ExcessRight]) -> str:
    """Return a sentence that says how the rights are removed."""
    statements = revoke_sql(rights)
    script = f"As superuser run what `{SCRIPT_COMMAND}` prints" if any(not r.remedy for r in rights) else ""
    revoke = f"as superuser or owner of the database run: {statements}" if statements else ""
    sentence = ", and ".join(part for part in (script, revoke) if part)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def revoke_sql(rights: list[ExcessRight]) -> str:
    """Return the SQL that removes the rights, without duplicates."""
    statements = [
        statement.strip() for right in rights for statement in right.remedy.split(";") if statement.strip()
    ]
    return "; ".join(dict.fromkeys(statements))


def _name(role: str) -> str:
    return sql.Identifier(role).as_string()
