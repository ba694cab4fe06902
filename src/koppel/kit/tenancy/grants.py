"""What the application role may do: read and write rows, never change tables; append to the audit trail, never rewrite it."""

from django.conf import settings
from django.db import connections
from psycopg import sql

APPEND_ONLY = ("audit_entry",)


def grant_to_application_role(using: str) -> None:
    """Run as the owner after migrations. Does nothing when owner and application role are one (`koppel check` says so)."""
    role = str(settings.DATABASES["default"]["USER"])
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT current_user")
        if cursor.fetchone()[0] == role:
            return
        name = sql.Identifier(role)
        for statement in (
            "GRANT USAGE ON SCHEMA public TO {}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}",
            "GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO {}",
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {}",
        ):
            cursor.execute(sql.SQL(statement).format(name))
        cursor.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
        for (partition,) in cursor.fetchall():
            # Reached through the table that they are partitions of, where the policies are.
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(partition), name))
        for table in APPEND_ONLY:
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
            if cursor.fetchone()[0]:
                cursor.execute(
                    sql.SQL("REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {}").format(sql.Identifier(table), name)
                )
