"""Calls to vendors from synchronous code: web requests and commands.

All calls of a process share one `Runtime`, in a thread with an event loop. It is opened with the first call
and kept, so that a call needs no new loop, sessions of the database or connections to the vendor. When the
thread ends or no longer responds, the next call starts another.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from django.utils import translation
from django.utils.translation import gettext_noop

from koppel.connections.health import HealthReporter
from koppel.connections.sessions.runtime import Runtime, runtime
from koppel.connections.sessions.token_probe import TokenProbe
from koppel.connector.errors import Unreachable
from koppel.kit.database.health.connection_limits import VENDOR_CALL_POOL, VENDOR_CALL_THREADS
from koppel.kit.database.turns import use_case_executor
from koppel.kit.http.client import HttpClient, refuse_in_transaction
from koppel.kit.http.outbound_budget import CallKind, call_slot

T = TypeVar("T")
RESPONSE_SECONDS_MAX = 60
"""How long one call waits for the vendor's response."""
WORK_SECONDS_MAX = 300
"""How long a request waits for all calls of its work."""
PING_SECONDS = 5.0
"""A thread that runs nothing for so long after a late call is replaced."""
CANCEL_SECONDS_MAX = 10.0
"""How long closing waits for cancelled calls; for refreshes of tokens the vault waits."""
LATE = gettext_noop("The accounting system did not respond in time.")
INTERRUPTED = gettext_noop("Koppel was interrupted during the call.")
log = structlog.get_logger(__name__)


def call_vendor_blocking(organisation_id: int, work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Run vendor calls to their end for an organisation, in the context of the caller, and return the result.

    A refresh of a token that the work began continues after it. Raises what the work raises; `Unreachable`
    when it takes longer than five minutes or the process stops; `CallsBusy` when too many requests of the
    organisation or of this process wait for vendors; `RuntimeError` inside a database transaction.
    """
    refuse_in_transaction()
    with call_slot(CallKind.VENDOR, organisation_id):
        return _current_thread.usable().call(work)


def close_blocking_calls() -> None:
    """Cancel the calls in progress, wait for refreshes of tokens, and close the runtime if there is one."""
    _current_thread.close()


class RuntimeThread:
    """A thread with an event loop and an open `Runtime`."""

    def __init__(self) -> None:
        self.is_usable = True
        self._loop = asyncio.new_event_loop()
        self._opened, self._closing = asyncio.Event(), asyncio.Event()
        self._runtime: Runtime
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._lock = threading.Lock()
        self._outcomes: set[Future[Any]] = set()
        self._has_ended = False
        # A daemon, because it is closed at exit. Its tasks belong to all calls, so they get an empty context.
        self._thread = threading.Thread(
            target=Context().run, args=(self._run,), name="koppel calls", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def call(self, work: Callable[[Runtime], Awaitable[T]]) -> T:
        """Run the work in the loop, in a copy of the caller's context and in its language.

        Raises `Unreachable` when it ends late or never.
        """
        outcome = self._submit(self._execute(work, translation.get_language()))
        try:
            return outcome.result(WORK_SECONDS_MAX)
        except CancelledError:
            raise Unreachable("interrupted", INTERRUPTED) from None
        except TimeoutError:
            if outcome.done():  # the work's own
                raise
            self.is_usable = self.is_usable and self._responds()
            raise Unreachable("timeout", LATE) from None
        finally:
            outcome.cancel()  # changes nothing when it is done
            self._outcomes.discard(outcome)

    def close(self) -> None:
        """Cancel the calls, close the runtime, and wait for the thread."""
        self.is_usable = False
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()

    def _submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        try:
            outcome = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop was closed at this moment
            work.close()
            outcome = Future()
        with self._lock:
            self._outcomes.add(outcome)
            if self._has_ended:
                outcome.cancel()
        return outcome

    def _responds(self) -> bool:
        ping = self._submit(asyncio.sleep(0))
        try:
            ping.result(PING_SECONDS)
        except (CancelledError, TimeoutError):
            log.error("vendor_calls_stuck")
            return False
        finally:
            self._outcomes.discard(ping)
        return True

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except BaseException as error:
            log.exception("vendor_calls_ended", error=type(error).__name__)
        with self._lock:
            self._has_ended, self.is_usable = True, False
            for outcome in list(self._outcomes):  # callers take theirs away meanwhile
                outcome.cancel()

    async def _serve(self) -> None:
        with ThreadPoolExecutor(VENDOR_CALL_THREADS, thread_name_prefix="koppel calls") as self._use_cases:
            async with (
                HttpClient(timeout_seconds=RESPONSE_SECONDS_MAX) as http,
                runtime(http, size=VENDOR_CALL_POOL, token_cache_seconds=0.0) as self._runtime,
            ):
                self._runtime.rate_limiter.reporter.start()
                self._opened.set()
                try:
                    await self._closing.wait()
                finally:
                    self.is_usable = False
                await self._cancel_calls()

    async def _execute(self, work: Callable[[Runtime], Awaitable[T]], language: str | None) -> T:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await self._opened.wait()
            # Not the loop's own threads: a name lookup that hangs keeps one of those.
            use_case_executor.set(self._use_cases)
            # Django keeps the language for a thread, even in a copied context.
            with translation.override(language):
                return await work(self._runtime_of_call())
        finally:
            self._tasks.discard(task)

    def _runtime_of_call(self) -> Runtime:
        """Return the runtime of a call: it trusts no token, and leaves out no report, because an earlier one
        did: a person who tests a connection asks how it is now.
        """
        health = HealthReporter(self._runtime.database)
        return replace(self._runtime, health=health, token_probe=TokenProbe())

    async def _cancel_calls(self) -> None:
        if tasks := [task for task in self._tasks if task is not None]:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=CANCEL_SECONDS_MAX)


class _CurrentThread:
    """The thread that this process uses now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: RuntimeThread | None = None

    def usable(self) -> RuntimeThread:
        """Return the thread, started when there is none that can be used."""
        with self._lock:
            if self._thread is None or not self._thread.is_usable:
                self._thread = RuntimeThread()
                self._thread.start()
            return self._thread

    def close(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def forget(self) -> None:
        """Begin anew in a forked process, which has none of the threads."""
        self.__init__()  # type: ignore[misc]


_current_thread = _CurrentThread()
atexit.register(_current_thread.close)
os.register_at_fork(after_in_child=_current_thread.forget)
