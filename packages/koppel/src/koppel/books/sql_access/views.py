"""The schema `books`: one view per table of the books, for SQL readers. Created again after each migration.

A reader's role may use these views, and not the tables below them. The views run with the owner's rights
under row level security, whose policies call `koppel_scope()`, which derives the organisation from the name
of the reading role (decision 0007). A restricted administration is visible only to the people assigned to it,
so no reader sees it.
"""

from django.db import connections
from django.db.backends.utils import CursorWrapper

from koppel.books.models import MODELS_BY_RESOURCE, TIME_COLUMNS
from koppel.connector.rows import ROWS
from koppel.kit.database.sql_files import load_statements

_SQL = load_statements("koppel.books")


def drop_views(cursor: CursorWrapper) -> None:
    """Drop the views before migrations: PostgreSQL cannot change a column that a view uses."""
    cursor.execute(_SQL["drop_schema"])


def views_are_missing(using: str) -> bool:
    """Return whether the views are missing.

    A migration dropped them and was killed before it created them again.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(_SQL["is_schema_missing"])
        return bool(cursor.fetchone()[0])


def create_views(cursor: CursorWrapper) -> None:
    """Recreate the schema and grant it to every registered reader.

    Runs as the owner, in one transaction.
    """
    drop_views(cursor)
    cursor.execute(_SQL["create_schema"])
    cursor.execute(_SQL["create_administrations_view"])
    for resource, model in MODELS_BY_RESOURCE.items():
        cursor.execute(_view(resource, model._meta.db_table))
    cursor.execute(_SQL["revoke_functions"])
    cursor.execute(_SQL["list_roles_of_readers"])
    for (role,) in cursor.fetchall():
        for statement in grants(str(role)):
            cursor.execute(statement)


def grants(role: str) -> list[str]:
    """Return the SQL that lets a role read. `role` has been checked (`readers.role_name`)."""
    statements = (_SQL["grant_schema"], _SQL["grant_views"], _SQL["grant_functions"])
    return [statement.format(role=f'"{role}"') for statement in statements]


def _view(resource: str, table: str) -> str:
    columns = ("administration_id", "external_id", *ROWS[resource].__struct_fields__, *TIME_COLUMNS)
    return _SQL["create_view"].format(resource=resource, columns=", ".join(columns), table=table)
