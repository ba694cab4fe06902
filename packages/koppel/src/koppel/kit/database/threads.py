"""Django from async code: a use case in a thread of its own, with a database connection of its own.

Also for what must stay although the caller's transaction is rolled back, such as the trace of a refusal.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from django.db import close_old_connections, connections

from koppel.kit.database.outage import spoils_session

T = TypeVar("T")


async def run_in_thread(work: Callable[[], T]) -> T:
    """Run a use case in a thread, which gives its database connection back afterwards, unless `keep_thread_connections`."""
    return await asyncio.to_thread(_reuse_connection if _keep_connections else _with_fresh_connection, work)


def keep_thread_connections() -> None:
    """In a worker the threads live as long as the process, and keep a connection each: a new one for each use case would
    cost more than the use case."""
    _keep_connections.append(True)


def in_separate_transaction(work: Callable[[], T]) -> T:
    """Run a use case in a transaction that the caller's fate does not touch."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(copy_context().run, _with_fresh_connection, work).result()


_keep_connections: list[bool] = []


def _reuse_connection(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    except Exception as error:
        if spoils_session(error):
            connections.close_all()
        raise


def _with_fresh_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connections.close_all()
