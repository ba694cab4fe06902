"""Which processes of the supervisor's programs say that they are not hung: see
`koppel.kit.database.health.service_notifications`.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from koppel.kit.database.health.service_notifications import MESSAGE_BYTES_MAX, NOTIFY_SOCKET, process_of

HUNG_SECONDS = 60.0
"""A process that says nothing for so long is hung; it says something every five seconds."""
START_SECONDS = 180.0
"""So long a program may take until it says something for the first time."""


class Watchdog:
    """A socket for the messages of programs, in a folder that only this account may enter."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._folder = Path(tempfile.mkdtemp(prefix="koppel-"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(self._folder / "notify"))
        self._notified_at: dict[int, float] = {}

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a program that is to be watched."""
        return {NOTIFY_SOCKET: str(self._folder / "notify")}

    def receive(self) -> None:
        """Take all messages that came."""
        while True:
            try:
                message = self._socket.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return
            if (pid := process_of(message)) is not None:
                self._notified_at[pid] = self._now()

    def has_hung_process(self, program_pid: int, started_at: float) -> bool:
        """Return whether a process of the program's group is hung, or the program hung at its start.

        Call `receive` before.
        """
        of_program = [pid for pid in list(self._notified_at) if self._group_of(pid) == program_pid]
        if not of_program:
            return self._now() - started_at > START_SECONDS
        return any(self._now() - self._notified_at[pid] > HUNG_SECONDS for pid in of_program)

    def close(self) -> None:
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _group_of(self, pid: int) -> int | None:
        """Return the process group; forget a process that has ended."""
        try:
            return os.getpgid(pid)
        except ProcessLookupError:
            del self._notified_at[pid]
            return None
