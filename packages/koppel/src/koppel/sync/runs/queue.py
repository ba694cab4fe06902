"""Which runs are performed next. The queue is `sync_run` itself: a worker takes as many runs as it has room for in one go.

Order: what a dead worker left and what a person asked for come first. Then organisations take turns, each counted with what
is being performed for it already, so that a large import does not hold up a small firm. Within an organisation an import goes
before the schedule, and a run that had its turn after those that had none yet: small companies of an import finish early
without anybody knowing beforehand which are small. A run whose connection is paused waits with it.
"""

from dataclasses import dataclass

from koppel.kit.database.pool import Connection
from koppel.sync.runs import claims
from koppel.sync.runs.claims import STALLED_SECONDS, ClaimedRun

CHANNEL = "koppel_runs"
"""PostgreSQL notifies here when runs are added."""

_MAY_START = "run.state = 'queued' AND (run.not_before IS NULL OR run.not_before <= now())"
_STALLED = f"run.state = 'running' AND run.heartbeat_at < now() - interval '{STALLED_SECONDS} seconds'"
_CHOOSE = f"""
WITH busy AS MATERIALIZED (
  SELECT organisation_id, count(*) AS runs FROM sync_run WHERE state = 'running' GROUP BY organisation_id
), due AS MATERIALIZED (
  SELECT run.id, 0 AS rank FROM sync_run run WHERE {_STALLED}
   UNION ALL
  SELECT run.id, CASE WHEN run.trigger = 'manual' THEN 0 ELSE coalesce(busy.runs, 0) + row_number() OVER (
           PARTITION BY run.organisation_id ORDER BY run.trigger, run.attempt, run.id) END
    FROM sync_run run
    JOIN administrations_administration a ON a.id = run.administration_id
    JOIN connections_connection c ON c.id = a.connection_id
    LEFT JOIN busy ON busy.organisation_id = run.organisation_id
   WHERE {_MAY_START} AND c.state <> 'paused'
)
SELECT run.id FROM due JOIN sync_run run ON run.id = due.id
 WHERE ({_MAY_START}) OR ({_STALLED})
 ORDER BY due.rank, run.id LIMIT %s FOR NO KEY UPDATE OF run SKIP LOCKED
"""  # noqa: S608 - as above
# 'import' < 'manual' < 'schedule': the order of triggers is that of the alphabet.

_NEXT = """
SELECT extract(epoch FROM min(not_before) - now())::float8 FROM sync_run WHERE state = 'queued' AND not_before > now()
"""
_WAITING = f"""
SELECT EXISTS (
  SELECT FROM sync_run run
    JOIN administrations_administration a ON a.id = run.administration_id
    JOIN connections_connection c ON c.id = a.connection_id
   WHERE ({_MAY_START} AND c.state <> 'paused') OR ({_STALLED}))
"""  # noqa: S608 - names of ours alone


@dataclass(frozen=True)
class ClaimedRuns:
    """Runs that this worker holds now, and in how many seconds the next one may start; None when none waits for a time."""

    runs: list[ClaimedRun]
    next_in_seconds: float | None


async def claim_next(connection: Connection, worker: str, room: int) -> ClaimedRuns:
    """Claim at most `room` runs, in a transaction of the installation's scope: all organisations share one queue."""
    rows = await connection.execute(_CHOOSE, [room])
    ids = [run_id for (run_id,) in await rows.fetchall()]
    runs = await claims.claim_runs(connection, ids, worker) if ids else []
    row = await (await connection.execute(_NEXT)).fetchone()
    runs.sort(key=lambda claimed: ids.index(claimed.id))
    return ClaimedRuns(runs, None if row is None or row[0] is None else float(row[0]))


async def has_waiting(connection: Connection) -> bool:
    """Return whether a run could start now if there were room."""
    row = await (await connection.execute(_WAITING)).fetchone()
    return bool(row and row[0])


async def release_claims(connection: Connection, worker: str) -> int:
    """Requeue the runs of a worker that stops. Its own tasks must have ended."""
    cursor = await connection.execute(
        "UPDATE sync_run SET state = 'queued', not_before = NULL WHERE worker = %s AND state = 'running'", [worker]
    )
    return cursor.rowcount
