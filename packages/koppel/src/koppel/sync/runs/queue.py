"""The queue of runs: the table `sync_run`. A worker claims as many runs as it has room for.

Runs of dead workers and runs that a person requested come first. Then organisations take turns, weighted by
their running runs, so that a large import does not delay a small organisation, and none uses all slots of a
worker. Within an organisation imports precede scheduled runs. Imports that began precede new ones, so that
administrations become active one after the other; among scheduled runs those without a turn precede the
others. Runs of a paused connection wait.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from koppel.connections.models import ConnectionState
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import RunState, Trigger
from koppel.sync.runs import claims
from koppel.sync.runs.claims import STALLED_SECONDS, ClaimedRun

CHANNEL = "koppel_runs"
"""The PostgreSQL notification channel for new runs."""
LOOKAHEAD = 100
"""So many runs of an organisation may be locked by other workers that look at the same moment."""

_SQL = load_statements("koppel.sync")
_LITERALS = {
    "queued": f"'{RunState.QUEUED}'",
    "running": f"'{RunState.RUNNING}'",
    "manual": f"'{Trigger.MANUAL}'",
    "import": f"'{Trigger.IMPORT}'",
    "paused": f"'{ConnectionState.PAUSED}'",
    "stalled_seconds": STALLED_SECONDS,
    "lookahead": LOOKAHEAD,
}


def _first_runs(trigger: Trigger, attempts: str = ">= 0") -> str:
    return _SQL["list_first_runs"].format(trigger=f"'{trigger}'", attempts=attempts, **_LITERALS)


_CHOOSE_RUNS = _SQL["choose_runs"].format(
    manual_runs=_first_runs(Trigger.MANUAL),
    begun_imports=_SQL["list_begun_imports"].format(**_LITERALS),
    new_imports=_first_runs(Trigger.IMPORT, "= 0"),
    scheduled=_first_runs(Trigger.SCHEDULE),
    **_LITERALS,
)
_SECONDS_TO_NEXT_RUN = _SQL["get_seconds_to_next_run"].format(**_LITERALS)
_HAS_WAITING_RUN = _SQL["has_waiting_run"].format(**_LITERALS)
_RELEASE_RUNS = _SQL["release_runs"].format(**_LITERALS)


@dataclass
class OrganisationSlots:
    """The slots of each organisation in a worker."""

    per_organisation: int
    used: Counter[int] = field(default_factory=Counter)
    """The runs that have a slot, by organisation."""

    @property
    def excluded(self) -> list[int]:
        """The organisations that use all their slots."""
        return [number for number, count in self.used.items() if count >= self.per_organisation]

    def take(self, runs: Sequence[tuple[int, int]]) -> list[int]:
        """Return the ids of those runs for which their organisation has a slot, which they take.

        A run is given by its id and its organisation's.
        """
        ids = []
        for run_id, organisation_id in runs:
            if self.used[organisation_id] < self.per_organisation:
                self.used[organisation_id] += 1
                ids.append(run_id)
        return ids


@dataclass(frozen=True)
class ClaimedRuns:
    """The runs that this worker now holds."""

    runs: list[ClaimedRun]
    next_in_seconds: float | None
    """The seconds until the next run may start; None when no run waits for a time."""
    has_waiting: bool
    """Whether runs may start for which there was no room, in the worker or among the organisation's slots."""


async def claim_next(
    database_connection: DatabaseConnection, worker: str, room: int, slots: OrganisationSlots | None = None
) -> ClaimedRuns:
    """Claim at most `room` runs, and of each organisation no more than it has free `slots`.

    Runs in a transaction of the installation's scope: all organisations share one queue.
    """
    slots = slots or OrganisationSlots(room)
    runs: list[ClaimedRun] = []
    is_limited = True
    while is_limited and len(runs) < room:
        parameters = {"room": room - len(runs), "excluded": slots.excluded}
        chosen = await (await database_connection.execute(_CHOOSE_RUNS, parameters)).fetchall()
        ids = slots.take([(run_id, organisation_id) for run_id, organisation_id in chosen])
        is_limited = len(ids) < len(chosen)
        claimed_runs = await claims.claim_runs(database_connection, ids, worker) if ids else []
        runs += sorted(claimed_runs, key=lambda run: ids.index(run.id))
    is_waiting = len(runs) == room or (bool(slots.excluded) and await has_waiting(database_connection))
    row = await (await database_connection.execute(_SECONDS_TO_NEXT_RUN)).fetchone()
    return ClaimedRuns(runs, None if row is None or row[0] is None else float(row[0]), is_waiting)


async def has_waiting(database_connection: DatabaseConnection) -> bool:
    """Return whether a run could start now if there were room."""
    row = await (await database_connection.execute(_HAS_WAITING_RUN)).fetchone()
    return bool(row and row[0])


async def release_claims(database_connection: DatabaseConnection, worker: str) -> int:
    """Requeue the runs of a worker that stops. Its tasks must have ended."""
    cursor = await database_connection.execute(_RELEASE_RUNS, {"worker": worker})
    return cursor.rowcount
