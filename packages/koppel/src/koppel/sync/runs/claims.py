"""A worker's claims on runs: claim, heartbeat, requeue. Async psycopg.

Every page is written in a `fenced_transaction`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from koppel.connections.models import ConnectionState
from koppel.kit.backoff import with_jitter
from koppel.kit.database.outage import OUTAGE_BACKOFF
from koppel.kit.database.pool import Database, DatabaseConnection, GuardFailed
from koppel.kit.database.replication import Durability
from koppel.kit.database.sql_files import load_statements
from koppel.sync.errors import RunTakenOver
from koppel.sync.models import RunReason, RunState

STALLED_SECONDS = 15
WORKER_LOSSES_MAX = 3
"""After so many lost workers a run is executed in a process of its own."""
OUTAGE_NEW_AFTER_SECONDS = 900.0
_SQL = load_statements("koppel.sync")
_STATES = {"queued": RunState.QUEUED, "running": RunState.RUNNING}


@dataclass(frozen=True)
class ClaimedRun:
    """A run that this worker holds, with the necessary facts about its administration."""

    id: int
    attempt: int
    organisation_id: int
    administration_id: int
    connection_id: int
    remote_company_id: int
    connector: str
    full: bool
    resources: list[str] | None
    failures: int
    crashes: int
    trigger: str
    created_at: datetime
    worker_losses: int
    killed_its_process: bool
    """Whether the administration's run before this one did."""

    @property
    def is_suspect(self) -> bool:
        """Whether the run may kill its worker, and others with it."""
        return self.killed_its_process or self.worker_losses >= WORKER_LOSSES_MAX


async def claim_runs(
    database_connection: DatabaseConnection, run_ids: list[int], worker: str
) -> list[ClaimedRun]:
    """Claim those of the runs that are queued or have an expired heartbeat; skip the others."""
    async with database_connection.cursor(row_factory=class_row(ClaimedRun)) as cursor:
        await cursor.execute(
            _SQL["claim_runs"],
            {
                **_STATES,
                "runs": run_ids,
                "worker": worker,
                "stalled_seconds": STALLED_SECONDS,
                "killed": RunReason.PROCESS_KILLED,
            },
        )
        return await cursor.fetchall()


@asynccontextmanager
async def fenced_transaction(
    database: Database,
    run: ClaimedRun,
    *,
    committed_pages: int | None = None,
    durability: Durability = Durability.SERVER,
) -> AsyncIterator[DatabaseConnection]:
    """Open a transaction in the organisation's scope that locks the run.

    Raises `RunTakenOver` when this worker no longer holds it, or when the database does not have the
    `committed_pages` that this worker counted of the run: after a failover to a standby that lacks the last
    ones, the run must begin again at its checkpoint.
    """
    statement = "fence_run" if committed_pages is None else "fence_pages"
    guard = _SQL[statement].format(
        run=run.id, attempt=run.attempt, running=f"'{RunState.RUNNING}'", pages=committed_pages
    )
    try:
        async with database.tenant_transaction(
            run.organisation_id, guard=guard, durability=durability
        ) as database_connection:
            yield database_connection
    except GuardFailed:
        raise RunTakenOver from None


async def heartbeat(database_connection: DatabaseConnection, run: ClaimedRun) -> bool:
    """Store a heartbeat. Returns False when this worker no longer holds the run.

    A run that was claimed just as its connection was paused is requeued.
    """
    cursor = await database_connection.execute(
        _SQL["renew_heartbeat"],
        {**_run_params(run), "connection": run.connection_id, "paused": ConnectionState.PAUSED},
    )
    row = await cursor.fetchone()
    return row is not None and row[0] == RunState.RUNNING


async def requeue(
    database_connection: DatabaseConnection,
    run: ClaimedRun,
    seconds: float,
    *,
    failed: bool,
    code: str,
    reason: str,
) -> None:
    """Put the run back in the queue, to start after `seconds`."""
    await database_connection.execute(
        _SQL["requeue_run"],
        {
            **_run_params(run),
            "seconds": seconds,
            "failures": int(failed),
            "code": code,
            "reason": reason,
        },
    )


async def requeue_after_crash(
    database_connection: DatabaseConnection, run: ClaimedRun, seconds: float, reason: str
) -> None:
    await database_connection.execute(
        _SQL["requeue_run_after_crash"],
        {**_run_params(run), "seconds": seconds, "code": RunReason.CRASHED, "reason": reason},
    )


async def requeue_for_outage(database_connection: DatabaseConnection, run: ClaimedRun, reason: str) -> float:
    """Requeue the run while the database returns errors, for about as long as the outage has lasted.

    Returns the seconds of the outage so far, 0 at first. After a quarter of an hour without errors a new
    outage begins.
    """
    cursor = await database_connection.execute(
        _SQL["requeue_run_for_outage"],
        {
            **_run_params(run),
            "code": RunReason.DATABASE,
            "reason": reason,
            "new_after": OUTAGE_NEW_AFTER_SECONDS,
            "least": OUTAGE_BACKOFF.base_seconds,
            "most": OUTAGE_BACKOFF.cap_seconds,
            "jitter": with_jitter(1.0),
        },
    )
    row = await cursor.fetchone()
    return float(row[0]) if row else 0.0


def _run_params(run: ClaimedRun) -> dict[str, object]:
    """Return the parameters of a statement about a run that this worker holds."""
    return {**_STATES, "run": run.id, "attempt": run.attempt}


async def failures(database_connection: DatabaseConnection, run: ClaimedRun) -> int:
    """Return the number of consecutive failures without progress."""
    result = await database_connection.execute(_SQL["get_run_failures"], {"run": run.id})
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def reset_failures(database_connection: DatabaseConnection, run: ClaimedRun) -> None:
    """Set the counts of failures and of lost workers to 0 after a committed page."""
    await database_connection.execute(_SQL["reset_run_failures"], {"run": run.id})
