"""The queue of runs: the table `sync_run`. A worker claims as many runs as it has room for.

Runs of dead workers and runs that a person requested come first. Then organisations take turns, weighted by
their running runs, so that a large import does not delay a small organisation. Within an organisation imports
precede scheduled runs, and runs without a turn precede the others: small companies of an import finish early
although their size is unknown beforehand. Runs of a paused connection wait.
"""

from dataclasses import dataclass

from koppel.connections.models import ConnectionState
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import RunState, Trigger
from koppel.sync.runs import claims
from koppel.sync.runs.claims import STALLED_SECONDS, ClaimedRun

CHANNEL = "koppel_runs"
"""The PostgreSQL notification channel for new runs."""

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
    """The runs that this worker now holds."""

    runs: list[ClaimedRun]
    next_in_seconds: float | None
    """The seconds until the next run may start; None when no run waits for a time."""


async def claim_next(database_connection: DatabaseConnection, worker: str, room: int) -> ClaimedRuns:
    """Claim at most `room` runs.

    Runs in a transaction of the installation's scope: all organisations share one queue.
    """
    rows = await database_connection.execute(_CHOOSE_RUNS, {"room": room})
    ids = [run_id for (run_id,) in await rows.fetchall()]
    runs = await claims.claim_runs(database_connection, ids, worker) if ids else []
    row = await (await database_connection.execute(_SECONDS_TO_NEXT_RUN)).fetchone()
    runs.sort(key=lambda run: ids.index(run.id))
    return ClaimedRuns(runs, None if row is None or row[0] is None else float(row[0]))


async def has_waiting(database_connection: DatabaseConnection) -> bool:
    """Return whether a run could start now if there were room."""
    row = await (await database_connection.execute(_HAS_WAITING_RUN)).fetchone()
    return bool(row and row[0])


async def release_claims(database_connection: DatabaseConnection, worker: str) -> int:
    """Requeue the runs of a worker that stops. Its tasks must have ended."""
    cursor = await database_connection.execute(_RELEASE_RUNS, {"worker": worker})
    return cursor.rowcount
