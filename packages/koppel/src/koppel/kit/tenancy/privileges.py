"""The rights of the application role.

It may read and write rows but not change tables; append to the audit log by its function, and neither write
nor change its tables; read the number of the installation but not change it.
"""

from django.conf import settings
from django.db import connections, models, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from koppel.kit.hooks import Registry

append_only_models = Registry[type[models.Model]]()
"""By table: the application role may insert and read rows, but not change or delete them."""
read_only_models = Registry[type[models.Model]]()
"""By table: the application role may read rows; the owner's functions write them."""

_UNPINNED = """
SELECT p.oid::regprocedure::text FROM pg_proc p
 WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
   AND pg_get_userbyid(p.proowner) = current_user
   AND NOT EXISTS (SELECT FROM unnest(p.proconfig) setting WHERE starts_with(setting, 'search_path='))
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
     AND d.deptype = 'e')
"""
_MISSING = f"""
SELECT EXISTS (
  SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
    AND NOT relispartition
     AND pg_get_userbyid(relowner) = current_user
     AND NOT (has_table_privilege(%(role)s, oid, 'SELECT')
       AND (has_table_privilege(%(role)s, oid, 'INSERT') OR relname = ANY (%(read_only)s)))
) OR EXISTS (
  SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND pg_get_userbyid(proowner) = current_user
     AND NOT has_function_privilege(%(role)s, oid, 'EXECUTE')
) OR EXISTS ({_UNPINNED})
"""  # noqa: S608 - names of ours alone


def grants_are_missing(using: str) -> bool:
    """Return whether a right is missing or a function is not pinned.

    This happens if a migration was killed before it granted the rights.
    """
    with connections[using].cursor() as cursor:
        role = str(settings.DATABASES["default"]["USER"])
        cursor.execute(_MISSING, {"role": role, "read_only": list(read_only_models)})
        return bool(cursor.fetchone()[0])


def grant_to_application_role(using: str) -> None:
    """Grant the rights; run as the owner after migrations.

    Does nothing when the owner is the application role (`koppel check` reports it). All in one transaction:
    the audit log is never writable, not even for a moment or after a crash.
    """
    role = str(settings.DATABASES["default"]["USER"])
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        _pin_functions_of_libraries(cursor)
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
            # Accessed through the partitioned table, which has the policies.
            cursor.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(sql.Identifier(partition), name))
        for table in append_only_models:
            _revoke(cursor, "UPDATE, DELETE, TRUNCATE", table, name)
        for table in read_only_models:
            _revoke(cursor, "INSERT, UPDATE, DELETE, TRUNCATE", table, name)


def _revoke(cursor: CursorWrapper, rights: str, table: str, role: sql.Identifier) -> None:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [table])
    if cursor.fetchone()[0]:
        statement = sql.SQL("REVOKE {} ON {} FROM {}")
        cursor.execute(statement.format(sql.SQL(rights), sql.Identifier(table), role))


def _pin_functions_of_libraries(cursor: CursorWrapper) -> None:
    """Pin the search path of the queue's functions, which use unqualified table names.

    Koppel's own functions are created with a search path.
    """
    cursor.execute(_UNPINNED)
    for (signature,) in cursor.fetchall():
        cursor.execute(f"ALTER ROUTINE {signature} SET search_path = pg_catalog, public, pg_temp")
