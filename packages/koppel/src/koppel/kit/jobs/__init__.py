"""Enqueue jobs by the name of their task, so that services need not import the tasks that call them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued


def enqueue(task_name: str, **arguments: Any) -> None:
    """Defer a job within the current transaction.

    Raises `AlreadyEnqueued` where the task has a queueing lock, and `TaskNotFound` for an unknown name.
    """
    app.configure_task(task_name, allow_unknown=False).defer(**arguments)


def enqueue_once(
    task_name: str, arguments: Mapping[str, Any], *, queueing_lock: str, at: datetime | None = None
) -> bool:
    """Defer one job unless one with this queueing lock waits already; return whether it was deferred.

    For short transactions only: the unique index makes it wait for the end of
    another transaction that defers the same."""
    job = app.configure_task(task_name, allow_unknown=False, queueing_lock=queueing_lock, schedule_at=at)
    try:
        with (
            transaction.atomic()
        ):  # the refusal is a unique violation, which would end the caller's transaction
            job.defer(**arguments)
    except AlreadyEnqueued:
        return False
    return True
