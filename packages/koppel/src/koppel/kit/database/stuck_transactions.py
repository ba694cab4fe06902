"""Ends database sessions whose process is suspended within a transaction: frozen or swapped out.

PostgreSQL itself ends a session that is idle between two statements (`IDLE_IN_TRANSACTION_OPTION`), but not
one within a statement that waits for its client, in a COPY or a pipeline. Django's sessions may take minutes,
for large exports, unless they block others. Without this, a frozen process would hold its locks for as long
as it is frozen.
"""

import structlog

from koppel.kit.database.pool import WORKER_APPLICATION_NAME, DatabaseConnection

STUCK_AFTER_SECONDS = 15

_TERMINATE = f"""
WITH silent AS (
  SELECT pid, application_name, state, substring(query FROM '^[A-Za-z_ ."]+') AS statement
    FROM pg_stat_activity
   WHERE datname = current_database() AND usename = current_user AND xact_start IS NOT NULL
     AND wait_event = 'ClientRead'
     AND greatest(state_change, query_start) < clock_timestamp() - make_interval(secs => %(seconds)s)
), blocking AS (
  SELECT unnest(pg_blocking_pids(pid)) AS pid FROM pg_stat_activity
   WHERE datname = current_database() AND wait_event_type = 'Lock' AND EXISTS (SELECT FROM silent)
), chosen AS MATERIALIZED (
  SELECT pid, application_name, statement FROM silent
   WHERE (state = 'active' AND application_name = '{WORKER_APPLICATION_NAME}') OR pid IN (SELECT pid
     FROM blocking)
)
SELECT application_name, statement, pg_terminate_backend(pid) FROM chosen
"""  # noqa: S608 - names of ours alone

log = structlog.get_logger(__name__)


async def terminate_stuck_sessions(connection: DatabaseConnection) -> int:
    """End this role's sessions in this database that were silent for 15 s in a transaction.

    Returns their number.
    """
    terminated = await (await connection.execute(_TERMINATE, {"seconds": STUCK_AFTER_SECONDS})).fetchall()
    for name, statement, _is_signalled in terminated:
        log.warning("stuck_session_ended", session=name, seconds=STUCK_AFTER_SECONDS, statement=statement)
    return len(terminated)
