"""Requeues jobs that a quarantine stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from procrastinate.tasks import Task

from koppel.kit.database.threads import run_in_thread
from koppel.kit.quarantine import Quarantined

RETRY_SECONDS = 20
"""How soon after the end of the quarantine such a job continues."""


@asynccontextmanager
async def requeue_in_quarantine(task: Task[Any, Any, Any], **arguments: Any) -> AsyncIterator[None]:
    """Requeue a job that the quarantine stops within the block, without counting an attempt."""
    try:
        yield
    except Quarantined:
        deferrer = task.configure(schedule_in={"seconds": RETRY_SECONDS})
        # Procrastinate's own thread would keep a connection that the database has closed meanwhile.
        await run_in_thread(lambda: deferrer.defer(**arguments))
