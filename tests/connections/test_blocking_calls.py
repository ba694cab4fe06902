"""Calls to vendors from web requests: one runtime for all calls of a process."""

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NoReturn

import pytest
import structlog
from django.utils import translation

from koppel.connections.sessions import blocking_calls, call_vendor_blocking, close_blocking_calls
from koppel.connections.sessions.runtime import Runtime
from koppel.connector.errors import Unreachable
from koppel.kit.database.pool import Database
from koppel.kit.database.threads import run_in_thread
from koppel.kit.http import outbound_budget
from koppel.kit.http.outbound_budget import CALLS_OF_ORGANISATION_MAX, CallsBusy
from tests.fixtures.stack import wait_until

ANNA, BERT = 1, 2
pytestmark = pytest.mark.usefixtures("clean_database")


class OpenCalls:
    """Calls that end when they are released, as of a vendor that does not answer."""

    def __init__(self) -> None:
        self.started = 0
        self._released = threading.Event()
        self._threads = ThreadPoolExecutor()

    def start(self, organisation_id: int = ANNA) -> "Future[None]":
        started = self.started
        call = self._threads.submit(call_vendor_blocking, organisation_id, self._wait)
        wait_until(lambda: self.started > started or call.done())
        return call

    def release(self) -> None:
        self._released.set()
        self._threads.shutdown()

    async def _wait(self, _runtime: Runtime) -> None:
        self.started += 1
        while not self._released.is_set():
            await asyncio.sleep(0.01)


@pytest.fixture
def open_calls() -> Any:
    calls = OpenCalls()
    yield calls
    calls.release()


async def current_database(runtime: Runtime) -> Database:
    """What all calls of a thread share."""
    return runtime.database


def test_all_calls_of_a_process_share_one_runtime(open_calls: OpenCalls) -> None:
    open_calls.start()
    first, second = (call_vendor_blocking(organisation, current_database) for organisation in (ANNA, BERT))
    assert first is second


def test_a_call_has_language_and_log_context_of_its_caller() -> None:
    async def read_context(_runtime: Runtime) -> list[Any]:
        in_thread = await run_in_thread(structlog.contextvars.get_contextvars)
        return [translation.get_language(), structlog.contextvars.get_contextvars(), in_thread]

    with translation.override("nl"), structlog.contextvars.bound_contextvars(organisation=ANNA):
        assert call_vendor_blocking(ANNA, read_context) == [
            "nl",
            {"organisation": ANNA},
            {"organisation": ANNA},
        ]
    with translation.override("en"):
        assert call_vendor_blocking(BERT, read_context) == ["en", {}, {}]


def test_a_vendor_that_never_answers_keeps_a_request_for_a_limited_time(
    open_calls: OpenCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = call_vendor_blocking(ANNA, current_database)
    monkeypatch.setattr(blocking_calls, "WORK_SECONDS_MAX", 0.1)
    with pytest.raises(Unreachable) as raised:
        open_calls.start().result(10)
    assert raised.value.code == "timeout"
    assert call_vendor_blocking(ANNA, current_database) is before


def test_a_thread_that_is_stuck_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    async def compute_for_ever(_runtime: Runtime) -> None:
        released.wait(30)

    before = call_vendor_blocking(ANNA, current_database)
    monkeypatch.setattr(blocking_calls, "WORK_SECONDS_MAX", 0.1)
    monkeypatch.setattr(blocking_calls, "PING_SECONDS", 0.1)
    try:
        with pytest.raises(Unreachable):
            call_vendor_blocking(ANNA, compute_for_ever)
        monkeypatch.undo()
        assert call_vendor_blocking(ANNA, current_database) is not before
    finally:
        released.set()


def test_calls_end_with_their_thread_and_the_next_one_starts_another(open_calls: OpenCalls) -> None:
    async def end_thread(_runtime: Runtime) -> NoReturn:
        raise SystemExit

    before, waiting = call_vendor_blocking(ANNA, current_database), open_calls.start()
    with pytest.raises(SystemExit):
        call_vendor_blocking(BERT, end_thread)
    with pytest.raises(Unreachable) as raised:
        waiting.result(10)
    assert raised.value.code == "interrupted"
    assert call_vendor_blocking(ANNA, current_database) is not before


def test_a_stop_ends_the_calls_in_progress(open_calls: OpenCalls) -> None:
    waiting = open_calls.start()
    close_blocking_calls()
    with pytest.raises(Unreachable) as raised:
        waiting.result(10)
    assert raised.value.code == "interrupted"
    assert call_vendor_blocking(ANNA, current_database)


def test_an_organisation_leaves_slots_to_others(
    open_calls: OpenCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound_budget, "WAITING_SECONDS", 0.01)
    for _number in range(CALLS_OF_ORGANISATION_MAX):
        open_calls.start(ANNA)
    with pytest.raises(CallsBusy):
        call_vendor_blocking(ANNA, current_database)
    assert call_vendor_blocking(BERT, current_database)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_starts_a_thread_of_its_own() -> None:
    call_vendor_blocking(ANNA, current_database)
    if not (child := os.fork()):
        status = 1
        try:
            status = 0 if call_vendor_blocking(ANNA, current_database) else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.kill
def test_a_program_ends_without_closing_it() -> None:
    program = (
        "import django; django.setup()\n"
        "from koppel.connections.sessions import call_vendor_blocking\n"
        "async def work(runtime): return runtime.database is not None\n"
        "print(call_vendor_blocking(1, work))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert (ended.stdout, ended.stderr) == ("True\n", "")
