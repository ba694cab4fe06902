"""The supervisor keeps programs running, and stops them without losing tokens."""

import os
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from koppel.cli.stack import Stack, StackOptions
from koppel.cli.supervision import supervisor as supervisor_module
from koppel.cli.supervision import watchdog as watchdog_module
from koppel.cli.supervision.supervisor import Program, Supervisor
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
    program = Program(name="fails", command=[sys.executable, "-c", "raise SystemExit(1)"], environment={})
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
    program = Program(name="waits", command=[sys.executable, "-c", WAITING, str(home)], environment={})
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


NOTIFYING = """
import time
from koppel.kit.database.health.service_notifications import notify_alive
while True:
    notify_alive()
    time.sleep(0.05)
"""


def test_a_hung_program_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog_module, "HUNG_SECONDS", 1.0)
    supervisor = Supervisor(None)
    program = Program(name="web", command=[sys.executable, "-c", NOTIFYING], environment={}, is_watched=True)
    supervisor.start(program)
    try:
        assert program.process is not None
        first, began = program.process.pid, time.monotonic()
        while time.monotonic() - began < 2.5:
            supervise(supervisor)
        assert program.process.pid == first, "One that says that it is alive is left alone."
        os.killpg(first, signal.SIGSTOP)
        wait_until(lambda: supervise(supervisor) or program.process.pid != first)
        assert program.is_running
    finally:
        supervisor.stop()


def supervise(supervisor: Supervisor) -> None:
    supervisor.kill_hung_programs()
    supervisor.restart_dead_programs()
    time.sleep(0.02)


def test_a_program_that_hangs_at_its_start_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog_module, "START_SECONDS", 0.3)
    supervisor = Supervisor(None)
    program = Program(
        name="web",
        command=[sys.executable, "-c", "import time; time.sleep(600)"],
        environment={},
        is_watched=True,
    )
    supervisor.start(program)
    try:
        assert program.process is not None
        first = program.process.pid
        wait_until(lambda: supervise(supervisor) or program.process.pid != first)
    finally:
        supervisor.stop()


def test_systemd_is_informed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By datagrams; what the programs of the supervisor say goes to the supervisor alone."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        stack = Stack(StackOptions(tmp_path))
        monkeypatch.setattr(supervisor_module.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            stack.watch()
        monkeypatch.undo()
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        stack.stop()
        said = [systemd.recv(4096).decode().splitlines() for _number in range(3)]
    assert [lines[0] for lines in said] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def interrupt(_seconds: float) -> None:
    raise KeyboardInterrupt
