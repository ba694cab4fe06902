"""The schema `books`: a view for each table of the books, for programs that read by SQL. Made anew after every migration.

A reader's role may use these views and nothing beneath them. The views run with the owner's rights, under the same row level
security as everybody: its policies ask `koppel_scope()`, which answers by the name of the reading role (decision 0007).
Books of a restricted administration are for the people named on it, so no reader sees them.
"""

from django.db import connections
from django.db.backends.utils import CursorWrapper

from koppel.books.models import MODELS_BY_RESOURCE, TIME_COLUMNS
from koppel.connector.rows import ROWS

SCHEMA = "books"
_ADMINISTRATIONS = f"""
CREATE VIEW {SCHEMA}.administrations WITH (security_barrier) AS
SELECT a.id AS administration_id, a.name, a.number, a.country, a.base_currency, a.client_number, a.sector, a.status,
       d.name AS division, a.complete_as_of
  FROM administrations_administration a
  LEFT JOIN organisations_division d ON d.id = a.division_id AND d.organisation_id = a.organisation_id
 WHERE NOT a.restricted
"""  # noqa: S608 - names of ours alone
_NOT_RESTRICTED = "administration_id IN (SELECT id FROM administrations_administration WHERE NOT restricted)"


def drop_views(cursor: CursorWrapper) -> None:
    """Drop the views before migrations: PostgreSQL cannot change a column that a view uses."""
    cursor.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


def views_are_missing(using: str) -> bool:
    """Return whether the views are missing: a migration dropped them, and was killed before it made them again."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regnamespace(%s) IS NULL", [SCHEMA])
        return bool(cursor.fetchone()[0])


def create_views(cursor: CursorWrapper) -> None:
    """Drop the schema, create it again, and grant it to every known reader; as the owner, in one transaction."""
    drop_views(cursor)
    cursor.execute(f"CREATE SCHEMA {SCHEMA}")
    cursor.execute(_ADMINISTRATIONS)
    for resource, model in MODELS_BY_RESOURCE.items():
        cursor.execute(_view(resource, model._meta.db_table))
    cursor.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC")
    cursor.execute("SELECT role FROM koppel_readers.reader WHERE role IN (SELECT rolname FROM pg_roles)")
    for (role,) in cursor.fetchall():
        for statement in grants(str(role)):
            cursor.execute(statement)


def grants(role: str) -> list[str]:
    """Return the SQL that grants a role to read. `role` has been checked (`readers.role_name`)."""
    return [
        f'GRANT USAGE ON SCHEMA {SCHEMA} TO "{role}"',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA {SCHEMA} TO "{role}"',
        f'GRANT EXECUTE ON FUNCTION koppel_scope(), koppel_reader_organisation(name) TO "{role}"',
    ]


def _view(resource: str, table: str) -> str:
    columns = ("administration_id", "external_id", *ROWS[resource].__struct_fields__, *TIME_COLUMNS)
    return (
        f"CREATE VIEW {SCHEMA}.{resource} WITH (security_barrier) AS"  # noqa: S608 - our own names
        f" SELECT {', '.join(columns)} FROM {table} WHERE {_NOT_RESTRICTED}"
    )
