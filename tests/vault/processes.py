"""Starts processes with a vault, communicates with them, and kills them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from tests.fixtures.stack import Sandbox, wait_until
from tests.vault.factories import GrantedAccess


class Program:
    """One process with a vault; see `program.py`."""

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


def kill_at(step: str, sandbox: Sandbox, granted: Sequence[GrantedAccess]) -> None:
    """A process begins to renew these grants and is killed when all of them have come to this step
    (`program.STEPS`)."""
    with programs(1, granted, stop_at=step) as (doomed,):
        if step == "called":
            sandbox.hold("/connect/token", times=len(granted))
        doomed.go()
        for _grant in granted:
            assert doomed.read()["at"] == step
        if step == "called":
            wait_until(lambda: sandbox.holds(len(granted)))
        doomed.kill()
        sandbox.release()
