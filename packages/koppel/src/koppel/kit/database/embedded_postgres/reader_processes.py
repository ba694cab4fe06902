"""Gives the sessions of SQL readers the lowest priority for the processor, and a limit of their memory.

PostgreSQL has no setting for either: every role may raise its own `work_mem`, and a row of a thousand values
of a gigabyte each needs none. But each session is a process, and a session of the operating system with a
scheduling group of its own (autogroup, where the kernel uses it), so the group's priority is lowered as well.
A process that may not have more memory ends its statement with "out of memory"; without the limit Linux would
kill it, and PostgreSQL would then end the sessions of all others.
Only Linux tells which processes these are; elsewhere nothing is done.
"""

import contextlib
import os
import resource
import sys
import threading
from pathlib import Path

import structlog

READER_PREFIX = "koppel_reader_"
"""The roles of SQL readers begin with this; PostgreSQL shows the role in the title of a session's process."""
NICENESS = 19
MEMORY_BYTES_MAX = 512 * 1024 * 1024
"""Of a session's own memory; what PostgreSQL shares between sessions does not count."""
POLL_SECONDS = 0.25

log = structlog.get_logger(__name__)


class ReaderProcesses:
    """Polls the sessions of the server `pid` in a thread, from `start` to `stop`."""

    def __init__(self, pid: int) -> None:
        self._pid, self._seen = pid, set[int]()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="koppel reader processes", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            try:
                self._limit_new()
            except PermissionError as error:
                log.warning("readers_unlimited", reason=str(error))
                return

    def _limit_new(self) -> None:
        """Limit readers' sessions that began since the last look."""
        sessions = _children(self._pid)
        self._seen &= sessions
        for pid in sessions - self._seen:
            title = _title(pid)
            if title.startswith(f"postgres: {READER_PREFIX}"):
                _limit_memory(pid)
                _lower_priority(pid)
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


def _limit_memory(pid: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))


def _lower_priority(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with contextlib.suppress(OSError):  # no such groups, or more changes at once than Linux allows
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS))
