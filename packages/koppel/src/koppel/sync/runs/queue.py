"""Which runs are performed next. The queue is `sync_run` itself: a worker takes as many runs as it has room
for in one go.

Order: what a dead worker left and what a person asked for come first. Then organisations take turns, each
counted with what is being performed for it already, so that a large import does not hold up a small firm.
Within an organisation an import goes before the schedule, and a run that had its turn after those that had
none yet: small companies of an import finish early without anybody knowing beforehand which are small. A run
whose connection is paused waits with it.
"""

from dataclasses import dataclass

from koppel.connections.models import ConnectionState
from koppel.kit.database.pool import Connection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import RunState, Trigger
from koppel.sync.runs import claims
from koppel.sync.runs.claims import STALLED_SECONDS, ClaimedRun

CHANNEL = "koppel_runs"
"""PostgreSQL notifies here when runs are added."""

_SQL = load_statements("koppel.sync")
_LITERALS = {
    "queued": f"'{RunState.QUEUED}'",
    "running": f"'{RunState.RUNNING}'",
    "manual": f"'{Trigger.MANUAL}'",
    "paused": f"'{ConnectionState.PAUSED}'",
    "stalled_seconds": STALLED_SECONDS,
}
_CHOOSE_RUNS = _SQL["choose_runs"].format(**_LITERALS)
_SECONDS_TO_NEXT_RUN = _SQL["get_seconds_to_next_run"].format(**_LITERALS)
_HAS_WAITING_RUN = _SQL["has_waiting_run"].format(**_LITERALS)
_RELEASE_RUNS = _SQL["release_runs"].format(**_LITERALS)


@dataclass(frozen=True)
class ClaimedRuns:
    """Runs that this worker holds now, and in how many seconds the next one may start; None when none waits
    for a time."""

    runs: list[ClaimedRun]
    next_in_seconds: float | None


async def claim_next(connection: Connection, worker: str, room: int) -> ClaimedRuns:
    """Claim at most `room` runs, in a transaction of the installation's
    scope: all organisations share one queue."""
    rows = await connection.execute(_CHOOSE_RUNS, {"room": room})
    ids = [run_id for (run_id,) in await rows.fetchall()]
    runs = await claims.claim_runs(connection, ids, worker) if ids else []
    row = await (await connection.execute(_SECONDS_TO_NEXT_RUN)).fetchone()
    runs.sort(key=lambda claimed: ids.index(claimed.id))
    return ClaimedRuns(runs, None if row is None or row[0] is None else float(row[0]))


async def has_waiting(connection: Connection) -> bool:
    """Return whether a run could start now if there were room."""
    row = await (await connection.execute(_HAS_WAITING_RUN)).fetchone()
    return bool(row and row[0])


async def release_claims(connection: Connection, worker: str) -> int:
    """Requeue the runs of a worker that stops. Its own tasks must have ended."""
    cursor = await connection.execute(_RELEASE_RUNS, {"worker": worker})
    return cursor.rowcount
