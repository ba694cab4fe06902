"""Django from async code: a use case in a thread of its own, with a database connection of its own.

Also for what must stay although the caller's transaction is rolled back, such as the trace of a refusal.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


async def in_django(work: Callable[[], T]) -> T:
    """Run a use case in a thread; the thread gives its database connection back afterwards."""
    return await asyncio.to_thread(_alone, work)


def apart(work: Callable[[], T]) -> T:
    """Run a use case in a transaction that the caller's fate does not touch."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(copy_context().run, _alone, work).result()


def _alone(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connections.close_all()
