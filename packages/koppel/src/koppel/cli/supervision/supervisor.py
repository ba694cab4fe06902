"""Keep programs running: start them, restart dead and hung ones, the database first, stop all within seconds.

Only a call to a token endpoint is waited for longer: its answer may be the only copy of a token on which a
consent depends.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import structlog

from koppel.cli.supervision.watchdog import Watchdog
from koppel.kit.backoff import Backoff
from koppel.kit.database.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, death_signal_prefix
from koppel.kit.database.health.service_notifications import NOTIFY_SOCKET, WATCHDOG_SECONDS, notify
from koppel.kit.http.calls_in_progress import TOKEN_STOP_SECONDS, is_call_in_progress

STEADY_SECONDS = 10
"""A program that ran this long was well; its restart is not counted as another failure."""
RESTART_BACKOFF = Backoff(base_seconds=0.5, cap_seconds=30.5)
"""The backoff less its base, so that the first restart is at once and the longest pause half a minute."""
STOP_SECONDS = 8
STORE_SECONDS = 15
"""More than the programs themselves wait for a token: what came in the last moment is stored."""
POLL_SECONDS = 0.2

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Program:
    """A child process. Output is appended to `output`, or goes to this process's stderr."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    output: Path | None = None
    is_watched: bool = False
    """Whether the program says every few seconds that it is not hung."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started_at: float = 0.0
    failures: int = 0

    def start(self, variables: Mapping[str, str] | None = None) -> None:
        """Start the program, with `variables` besides its environment, in a session of its own: a Ctrl-C in
        the terminal reaches only the supervisor, which stops programs in order.
        """
        self.started_at = time.monotonic()
        with self._open_output() as sink:
            self.process = subprocess.Popen(
                [*death_signal_prefix("TERM"), *self.command],
                env={**self.environment, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program and all its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def last_output_line(self) -> str:
        """Return the last line of the output file, for a message."""
        if self.output is None or not self.output.exists():
            return "see its output"
        lines = [line for line in self.output.read_text(errors="replace").splitlines() if line.strip()]
        return f"{lines[-1].strip()[:300] if lines else 'it said nothing'} (see {self.output})"

    @contextlib.contextmanager
    def _open_output(self) -> Iterator[IO[bytes]]:
        if self.output is None:
            yield sys.stderr.buffer
            return
        self.output.parent.mkdir(parents=True, exist_ok=True)
        with self.output.open("ab") as file:
            yield file


class Supervisor:
    """The programs of one installation on one machine, and its embedded database if there is one."""

    def __init__(
        self,
        postgres: EmbeddedPostgres | None,
        token_calls: Path | None = None,
        token_stop_seconds: float = TOKEN_STOP_SECONDS,
    ) -> None:
        self._postgres = postgres
        self._token_calls, self._token_stop_seconds = token_calls, token_stop_seconds
        self._programs: list[Program] = []
        self._watchdog: Watchdog | None = None

    @property
    def programs(self) -> Sequence[Program]:
        return self._programs

    def start(self, program: Program) -> None:
        """Start a program and keep it running."""
        self._programs.append(program)
        self._start(program)

    def watch(self) -> None:
        """Restart dead and hung programs every 0.2 s, until an exception such as the KeyboardInterrupt of
        Ctrl-C. Tells systemd that this process is not hung.
        """
        notified_at = -WATCHDOG_SECONDS
        while True:
            self.kill_hung_programs()
            self.restart_dead_programs()
            if time.monotonic() - notified_at >= WATCHDOG_SECONDS:
                notify(WATCHDOG=1)
                notified_at = time.monotonic()
            time.sleep(POLL_SECONDS)

    def kill_hung_programs(self) -> None:
        """Kill programs of which a process says nothing any more; they are restarted as dead ones."""
        if self._watchdog is None:
            return
        self._watchdog.receive()
        for program in self._programs:
            if not program.is_watched or program.process is None or not program.is_running:
                continue
            if self._watchdog.has_hung_process(program.process.pid, program.started_at):
                log.error("program_hung", program=program.name)
                program.signal(signal.SIGKILL)
                program.process.wait()

    def restart_dead_programs(self) -> None:
        """Restart the database if it is down, then programs that have ended."""
        if not self._is_database_running():
            return
        for program in self._programs:
            if not program.is_running:
                self._restart(program)

    def stop(self) -> None:
        """Stop all programs, last started first, and wait 8 s; longer only while one of them waits for a
        token.
        """
        for program in reversed(self._programs):
            program.signal(signal.SIGTERM)
        self._wait_until_ended(time.monotonic())
        for program in reversed(self._programs):
            program.signal(signal.SIGKILL)
            if program.process is not None:
                program.process.wait()
        self._programs.clear()
        if self._watchdog is not None:
            self._watchdog.close()
            self._watchdog = None

    def _start(self, program: Program) -> None:
        if not program.is_watched:
            program.start({NOTIFY_SOCKET: ""})
            return
        self._watchdog = self._watchdog or Watchdog()
        program.start(self._watchdog.variables)

    def _wait_until_ended(self, began: float) -> None:
        is_logged = False
        while any(program.is_running for program in self._programs):
            passed = time.monotonic() - began
            if passed > STOP_SECONDS:
                if passed > self._token_stop_seconds + STORE_SECONDS or not self._is_token_call_in_progress():
                    return
                if not is_logged:
                    log.warning("stop_waits_for_token", seconds_max=self._token_stop_seconds)
                    is_logged = True
            time.sleep(POLL_SECONDS)

    def _is_token_call_in_progress(self) -> bool:
        return self._token_calls is not None and is_call_in_progress(self._token_calls)

    def _is_database_running(self) -> bool:
        if self._postgres is None:
            return True
        try:
            if self._postgres.ensure_running():
                log.warning("embedded_database_restarted")
        except EmbeddedPostgresError as error:
            log.error("embedded_database_down", reason=str(error))
            return False
        return True

    def _restart(self, program: Program) -> None:
        now = time.monotonic()
        if now - program.started_at > STEADY_SECONDS:
            program.failures = 0
        pause = RESTART_BACKOFF.seconds(program.failures) - RESTART_BACKOFF.base_seconds
        if now - program.started_at < pause:
            return
        code = program.process.returncode if program.process is not None else None
        program.failures += 1
        program.signal(signal.SIGKILL)  # what it started itself would keep its port or its job
        log.warning("program_restarted", program=program.name, exit_code=code)
        self._start(program)


@contextlib.contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt within the block on SIGTERM and SIGHUP, as on Ctrl-C, once."""

    def interrupt(number: int, _frame: object) -> None:
        for signal_number in numbers:
            signal.signal(
                signal_number, signal.SIG_IGN
            )  # stopping is bounded in time; a second signal must not break it off
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
