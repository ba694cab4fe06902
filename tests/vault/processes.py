"""Starts processes with a vault, communicates with them, and kills them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from tests.fixtures.stack import Sandbox, wait_until
from tests.vault.factories import GrantedAccess


class Program:
    """One process with a vault; see `worker_program.py`."""

    def __init__(self, granted: Sequence[GrantedAccess], log: IO[bytes] | int, **options: Any) -> None:
        words = json.dumps({"grants": [[one.organisation_id, one.grant_id] for one in granted], **options})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.vault.worker_program", words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=dict(os.environ),
        )

    def ready(self) -> None:
        assert self.read().get("ready"), "The program did not start."

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"The program ended with {self.process.wait()}."
        answer: dict[str, Any] = json.loads(line)
        return answer

    def read_until_done(self) -> list[dict[str, Any]]:
        """Its answers, in the order they came; the last one has `done` and `seconds`."""
        answers = [self.read()]
        while "done" not in answers[-1]:
            answers.append(self.read())
        return answers

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextmanager
def programs(count: int, granted: Sequence[GrantedAccess], **options: Any) -> Iterator[list[Program]]:
    """So many processes, all ready and none begun."""
    with ExitStack() as until_done:
        started = []
        for _index in range(count):
            started.append(Program(granted, subprocess.DEVNULL, **options))
            until_done.callback(started[-1].close)
        for program in started:
            program.ready()
        yield started


def kill_at(granted_by_step: Mapping[str, Sequence[GrantedAccess]], sandbox: Sandbox) -> None:
    """A process begins to renew these grants and is killed when each of them has come to its step
    (`worker_program.STEPS`).

    Those that wait for an answer have a process of their own: the sandbox keeps back any call.
    """
    others = {step: granted for step, granted in granted_by_step.items() if step != "called"}
    called = granted_by_step.get("called", ())
    if others:
        with _run_until_step(others) as doomed:
            doomed.kill()
    if called:
        sandbox.hold("/connect/token", times=len(called))
        with _run_until_step({"called": called}) as doomed:
            wait_until(lambda: sandbox.holds(len(called)))
            doomed.kill()
        sandbox.release()


@contextmanager
def _run_until_step(granted_by_step: Mapping[str, Sequence[GrantedAccess]]) -> Iterator[Program]:
    """A process of which each grant has come to its step."""
    granted = [grant for grants in granted_by_step.values() for grant in grants]
    steps = {grant.grant_id: step for step, grants in granted_by_step.items() for grant in grants}
    with programs(1, granted, stop_at=steps) as (program,):
        program.go()
        answers = [program.read() for _grant in granted]
        assert {answer["grant"]: answer["at"] for answer in answers} == steps
        yield program
