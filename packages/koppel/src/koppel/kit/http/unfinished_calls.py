"""Tells other processes of this machine that work is in progress which must not be interrupted.

It uses a shared lock on a file. The kernel frees the lock when its process dies, so a dead process delays
nothing.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)
_warned: set[Path] = set()

TOKEN_CALLS = "token-calls.lock"  # noqa: S105 - the name of a file
"""In the data directory: held while a process waits for a token endpoint."""
TOKEN_STOP_SECONDS = 900.0
"""How long a stop waits for token calls by default (`KOPPEL_TOKEN_STOP_SECONDS`): the timeout of a
response.
"""


def token_stop_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """Return how long a stop waits for token calls.

    Raises `ValueError` for a value that is not a number of seconds.
    """
    seconds = float(environment.get("KOPPEL_TOKEN_STOP_SECONDS") or TOKEN_STOP_SECONDS)
    if not 0 <= seconds <= 86_400:
        raise ValueError("KOPPEL_TOKEN_STOP_SECONDS")
    return seconds


class Unfinished:
    """Unfinished work of one kind in this process; threads may share it.

    `path` None: it is not reported to other processes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._count = 0
        self._descriptor: int | None = None

    @property
    def count(self) -> int:
        """The number of tasks in progress in this process."""
        return self._count

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Count the block as unfinished work."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        with self._mutex:
            self._count += change
            if self._count and self._descriptor is None and self._path is not None:
                # Work continues if the directory is not writable; it is only invisible to other processes.
                try:
                    self._descriptor = _open(self._path)
                    fcntl.flock(self._descriptor, fcntl.LOCK_SH)
                except OSError as refusal:
                    _warn_once(self._path, refusal)
            elif not self._count and self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def is_unfinished(path: Path) -> bool:
    """Return whether a process of this machine has such work in progress."""
    try:
        descriptor = _open(path)
    except OSError as refusal:
        _warn_once(path, refusal)
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _warn_once(path: Path, refusal: OSError) -> None:
    """Warn that a stop will not wait for such work; once per process and file."""
    if path not in _warned:
        _warned.add(path)
        log.warning(
            "unfinished_work_unseen", file=str(path), reason=refusal.strerror or type(refusal).__name__
        )


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
