"""Runs Django code from async code, in a thread with its own database connection.

Use `in_separate_transaction` for writes that must survive a rollback, such as audit entries for refused
requests.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

from django.db import close_old_connections, connections

from koppel.kit.database.outage import needs_new_session
from koppel.kit.database.turns import use_case_executor, wait_for_turn

T = TypeVar("T")


async def run_in_thread(work: Callable[[], T]) -> T:
    """Run a use case in a thread.

    The thread then returns its database connection, unless `keep_thread_connections`.
    """
    await wait_for_turn()
    call = partial(_reuse_connection if _keep_connections else _with_fresh_connection, work)
    return await asyncio.get_running_loop().run_in_executor(use_case_executor.get(), copy_context().run, call)


def keep_thread_connections() -> None:
    """Let threads keep their connection.

    Threads of a worker live as long as the process, and a new connection for each use case would cost more
    than the use case.
    """
    _keep_connections.append(True)


def in_separate_transaction(work: Callable[[], T]) -> T:
    """Run a use case in a separate transaction, which the caller's rollback does not affect."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(copy_context().run, _with_fresh_connection, work).result()


_keep_connections: list[bool] = []


def _reuse_connection(work: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return work()
    except Exception as error:
        if needs_new_session(error):
            connections.close_all()
        raise


def _with_fresh_connection(work: Callable[[], T]) -> T:
    try:
        return work()
    finally:
        connections.close_all()
