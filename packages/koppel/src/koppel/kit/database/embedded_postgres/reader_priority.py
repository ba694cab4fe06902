"""Gives the sessions of SQL readers the lowest priority for the processor.

PostgreSQL has no setting for it, but each session is a process, and a session of the operating system with a
scheduling group of its own (autogroup, where the kernel uses it), so the group's priority is lowered as well.
Only Linux tells which processes these are; elsewhere nothing is done.
"""

import contextlib
import os
import threading
from pathlib import Path

import structlog

READER_PREFIX = "koppel_reader_"
"""The roles of SQL readers begin with this; PostgreSQL shows the role in the title of a session's process."""
NICENESS = 19
POLL_SECONDS = 0.25

log = structlog.get_logger(__name__)


class ReaderPriority:
    """Polls the sessions of the server `pid` in a thread, from `start` to `stop`."""

    def __init__(self, pid: int) -> None:
        self._pid, self._seen = pid, set[int]()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="koppel reader priority", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            try:
                self._lower_new()
            except PermissionError as error:
                log.warning("reader_priority_unchanged", reason=str(error))
                return

    def _lower_new(self) -> None:
        """Lower the priority of readers' sessions that began since the last look."""
        sessions = _children(self._pid)
        self._seen &= sessions
        for pid in sessions - self._seen:
            title = _title(pid)
            if title.startswith(f"postgres: {READER_PREFIX}"):
                _lower(pid)
            if title.startswith("postgres: "):  # before that the process does not know its role yet
                self._seen.add(pid)


def _children(pid: int) -> set[int]:
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return set()


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def _lower(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with contextlib.suppress(OSError):  # no such groups, or more changes at once than Linux allows
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))
