"""Lets a worker task wait for its turn before it opens a transaction.

A task that sets `before_work` gives it to all tasks that it starts.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import ContextVar

before_work: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("before_work", default=None)
use_case_executor: ContextVar[Executor | None] = ContextVar("threads", default=None)
"""The executor of the task's use cases; None: that of the event loop."""


async def wait_for_turn() -> None:
    """Wait as the task wants it. To be called outside of transactions, which hold locks."""
    wait = before_work.get()
    if wait is not None:
        await wait()
