"""What a task of a worker waits for before a transaction or a use case, when others go first.

A task that sets `before_work` gives it to all tasks that it starts.
"""

from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import ContextVar

before_work: ContextVar[Callable[[], Awaitable[None]] | None] = ContextVar("before_work", default=None)
threads: ContextVar[Executor | None] = ContextVar("threads", default=None)
"""The threads for the task's use cases; None: those of the event loop."""


async def wait_for_turn() -> None:
    """Wait as the task wants it. To be called outside of transactions, which hold locks."""
    wait = before_work.get()
    if wait is not None:
        await wait()
