"""Enqueues jobs by the name of their task, so services need not import the tasks that call them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued


def load_tasks() -> None:
    """Import the tasks of all apps, so that no request or job has to."""
    app.perform_import_paths()  # type: ignore[no-untyped-call]


def enqueue(task_name: str, **arguments: Any) -> None:
    """Enqueue a job within the current transaction.

    Raises `AlreadyEnqueued` if the task has a queueing lock that is taken, and `TaskNotFound` for an unknown
    name.
    """
    app.configure_task(task_name, allow_unknown=False).defer(**arguments)


def enqueue_once(
    task_name: str, arguments: Mapping[str, Any], *, queueing_lock: str, at: datetime | None = None
) -> bool:
    """Enqueue a job unless one with this queueing lock is waiting; return whether it was enqueued.

    For short transactions only: because of the unique index it waits for the end of another transaction that
    enqueues the same job.
    """
    job = app.configure_task(task_name, allow_unknown=False, queueing_lock=queueing_lock, schedule_at=at)
    try:
        with transaction.atomic():  # the unique violation would abort the caller's transaction
            job.defer(**arguments)
    except AlreadyEnqueued:
        return False
    return True
