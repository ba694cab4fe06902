"""The statements that only a superuser can run, so that roles that read by SQL disturb no other user.

PostgreSQL lets everybody take advisory locks, write large objects and messages, keep snapshots in files, use
up transaction ids, and make temporary tables.
The embedded server runs the script at each start; for other servers `koppel sql-readers superuser-script`
prints it.
"""

from psycopg import sql

DISTURBING_FUNCTIONS = (
    "^(pg_(try_)?advisory_|lo_|loread$|lowrite$|pg_notify$|pg_export_snapshot$|pg_logical_emit_message$"
    "|pg_current_xact_id$|txid_current$)"
)
"""A pattern of functions of PostgreSQL that lock, write or send beyond the caller's own session.

Of the others that everybody may call (PostgreSQL 15 to 18) none does so:

- pg_sleep…, generate_series, repeat, lpad, query_to_xml, ts_stat: they take time and memory of
  their own session, for which readers have limits (`session_limits`, `reader_processes`); what runs a query
  runs it with the caller's rights.
- set_config: as SET, which cannot be taken away. Nothing that a role may set lifts a right.
- nextval, setval, brin_summarize…, gin_clean…, pg_restore_…_stats: ask for rights on the object.
- pg_cancel_backend, pg_terminate_backend: sessions of the same role alone.
- pg_…_replication_slot, pg_logical_slot_…, pg_sync_…: ask for the attribute REPLICATION.
- pg_nextoid, pg_import_system_collations, binary_upgrade_…: for superusers alone.
- pg_control_…, pg_stat_get_…, pg_lock_status, pg_…_size, pg_timezone_names: read what the server
  says of itself; statements and addresses of others are hidden.
"""
NEVER_PUBLIC = ("lo_import", "lo_export")
"""These match, and read and write files of the server: nobody gets them."""
SIGNAL_ROLE, ACTIVITY_ROLE = "pg_signal_backend", "pg_read_all_stats"
"""Rights of the owner, whose function `koppel_end_reader_sessions` ends sessions of readers."""
_SCRIPT = """
-- Koppel: take from PUBLIC what would let a reader disturb others, and keep it for Koppel itself.
-- Run as superuser in the database {database}; again after a restore and after a new major version.
DO $do$
DECLARE routine regprocedure;
BEGIN
  FOR routine IN
    SELECT oid FROM pg_catalog.pg_proc
     WHERE pronamespace = 'pg_catalog'::regnamespace
       AND proname ~ {pattern} AND proname <> ALL ({never})
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', routine);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I, %I', routine, {owner_name}, {application_name});
  END LOOP;
END $do$;
GRANT EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() TO pg_read_all_data;
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {application};
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO {owner};
REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql TO {owner};
GRANT {signal}, {activity} TO {owner};
"""


def superuser_script(database: str, owner: str, application: str) -> str:
    """Return the script, for a database and the names of its two roles. It may be repeated."""
    statement = sql.SQL(_SCRIPT).format(
        database=sql.Identifier(database),
        owner=sql.Identifier(owner),
        application=sql.Identifier(application),
        owner_name=sql.Literal(owner),
        application_name=sql.Literal(application),
        pattern=sql.Literal(DISTURBING_FUNCTIONS),
        never=sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(sql.Literal, NEVER_PUBLIC))),
        signal=sql.Identifier(SIGNAL_ROLE),
        activity=sql.Identifier(ACTIVITY_ROLE),
    )
    return statement.as_string().strip()
