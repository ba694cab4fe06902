"""Calls in progress that a stop must not interrupt, reported to other processes of this machine.

A shared lock on a file reports them. The kernel frees the lock when its process dies, so a dead process
delays nothing.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)
_warned_paths: set[Path] = set()

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


class CallsInProgress:
    """Calls of one kind in progress in this process, for all its threads.

    `path` None: other processes do not learn of the calls.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._count = 0
        self._descriptor: int | None = None

    @property
    def count(self) -> int:
        """The number of calls in progress in this process."""
        return self._count

    @contextlib.contextmanager
    def track(self) -> Iterator[None]:
        """Count the block as a call in progress."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, change: int) -> None:
        with self._mutex:
            self._count += change
            if self._count and self._descriptor is None and self._path is not None:
                # Without a writable directory the call goes on, and other processes do not see it.
                try:
                    self._descriptor = _open_lock_file(self._path)
                    fcntl.flock(self._descriptor, fcntl.LOCK_SH)
                except OSError as refusal:
                    _warn_of_untracked_calls(self._path, refusal)
            elif not self._count and self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


def is_call_in_progress(path: Path) -> bool:
    """Return whether a process of this machine has such a call in progress."""
    try:
        descriptor = _open_lock_file(path)
    except OSError as refusal:
        _warn_of_untracked_calls(path, refusal)
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


def _warn_of_untracked_calls(path: Path, refusal: OSError) -> None:
    """Warn that a stop will not wait for such calls; once per process and file."""
    if path not in _warned_paths:
        _warned_paths.add(path)
        log.warning(
            "call_in_progress_untracked", file=str(path), reason=refusal.strerror or type(refusal).__name__
        )


def _open_lock_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
