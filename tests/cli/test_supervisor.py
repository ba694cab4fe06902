"""The supervisor keeps programs running, and stops them without losing tokens."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from koppel.cli import supervisor as supervisor_module
from koppel.cli.supervisor import Program, Supervisor
from tests.fixtures.stack import wait_until

WAITING = """
import pathlib, signal, sys, time
from koppel.kit.http.calls_in_progress import CallsInProgress
home = pathlib.Path(sys.argv[1])
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(True))
with CallsInProgress(home / "calls").track():
    (home / "begun").touch()
    while not (told and (home / "answer").exists()):
        if told:
            (home / "told").touch()
        time.sleep(0.02)
    (home / "stored").touch()
"""
"""A program that waits for a token, and for the one only."""


def test_a_program_that_keeps_failing_does_not_stop_the_supervisor() -> None:
    supervisor = Supervisor(None)
    program = Program("fails", [sys.executable, "-c", "raise SystemExit(1)"], {})
    supervisor.start(program)
    assert program.process is not None
    try:
        program.process.wait()
        program.failures, program.started_at = 5000, time.monotonic()
        supervisor.restart_dead_programs()
        assert program.failures == 5000, "it Queued"
    finally:
        supervisor.stop()


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten every wait of a stop except the one under test."""
    monkeypatch.setattr(supervisor_module, "STOP_SECONDS", 0)
    monkeypatch.setattr(supervisor_module, "STORE_SECONDS", 0)


def start_waiting_program(supervisor: Supervisor, home: Path) -> Program:
    program = Program("waits", [sys.executable, "-c", WAITING, str(home)], {})
    supervisor.start(program)
    wait_until((home / "begun").exists)
    return program


def test_a_stop_waits_for_a_token_call(tmp_path: Path, short_waits: None) -> None:
    supervisor = Supervisor(None, tmp_path / "calls")
    start_waiting_program(supervisor, tmp_path)
    with ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(supervisor.stop)
        wait_until((tmp_path / "told").exists)
        assert not stopped.done()
        (tmp_path / "answer").touch()
        stopped.result()
    assert (tmp_path / "stored").exists()


@pytest.mark.parametrize(
    ("file", "seconds"), [("calls", 0.0), ("nobody", 900.0)], ids=["its limit", "nothing to wait for"]
)
def test_a_stop_does_not_wait_for_other_work(
    tmp_path: Path, short_waits: None, file: str, seconds: float
) -> None:
    supervisor = Supervisor(None, tmp_path / file, seconds)
    program = start_waiting_program(supervisor, tmp_path)
    supervisor.stop()
    assert not program.is_running
    assert not (tmp_path / "stored").exists()
