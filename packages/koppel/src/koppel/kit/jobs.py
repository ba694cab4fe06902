"""Enqueue jobs by the name of their task, so that services need not import the tasks that call them."""

from typing import Any

from procrastinate.contrib.django import app


def enqueue(task_name: str, **arguments: Any) -> None:
    """Defer a job within the current transaction.

    Raises `AlreadyEnqueued` where the task has a queueing lock, and `TaskNotFound` for an unknown name.
    """
    app.configure_task(task_name, allow_unknown=False).defer(**arguments)
