"""The schema `books`: a view for each table of the books, for programs that read by SQL. Made anew after
every migration.

A reader's role may use these views and nothing beneath them. The views run with the owner's rights, under the
same row level security as everybody: its policies ask `koppel_scope()`, which answers by the name of the
reading role (decision 0007). Books of a restricted administration are for the people named on it, so no
reader sees them.
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
    """Return whether the views are missing: a migration dropped them,
    and was killed before it made them again."""
    with connections[using].cursor() as cursor:
        cursor.execute(_SQL["is_schema_missing"])
        return bool(cursor.fetchone()[0])


def create_views(cursor: CursorWrapper) -> None:
    """Drop the schema, create it again, and grant it to every known
    reader; as the owner, in one transaction."""
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
    """Return the SQL that grants a role to read. `role` has been checked (`readers.role_name`)."""
    statements = (_SQL["grant_schema"], _SQL["grant_views"], _SQL["grant_functions"])
    return [statement.format(role=f'"{role}"') for statement in statements]


def _view(resource: str, table: str) -> str:
    columns = ("administration_id", "external_id", *ROWS[resource].__struct_fields__, *TIME_COLUMNS)
    return _SQL["create_view"].format(resource=resource, columns=", ".join(columns), table=table)
