"""Why the embedded server does not run, from its log: the cause, not what followed from it."""

import re
import shutil
from pathlib import Path

LOG_BYTES = 64 * 1024
DISK_FULL_BYTES = 32 * 1024 * 1024
"""With less than a few segments of its write-ahead log PostgreSQL cannot start."""
NO_SPACE = "No space left on device"
CONSEQUENCES = ("is starting up", "not yet accepting connections", "in recovery mode", "is shutting down")
"""Messages to clients while the server starts, recovers or stops."""
_SEVERITY = re.compile(r"\b(PANIC|FATAL):")


def failure_reason(data_dir: Path, log_begins: int | None = None) -> str:
    """Return why the server in this folder failed last, with the name of its log.

    `log_begins`: the size that the log had before the attempt; None: look at the end of the log.
    """
    log = data_dir / "postgres.log"
    lines = _last_lines(log, log_begins)
    serious = [line for line in lines if _SEVERITY.search(line) and not _is_consequence(line)]
    full = [line for line in lines if NO_SPACE in line]
    if full or _is_disk_full(data_dir):
        return f"the disk is full: {(full or serious or [NO_SPACE])[-1]} (see {log})"
    return f"{(serious or lines or ['it said nothing'])[-1]} (see {log})"


def _last_lines(log: Path, log_begins: int | None) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES) if log_begins is None else min(log_begins, size))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


def _is_consequence(line: str) -> bool:
    return any(message in line for message in CONSEQUENCES)


def _is_disk_full(data_dir: Path) -> bool:
    try:
        return shutil.disk_usage(data_dir).free < DISK_FULL_BYTES
    except OSError:
        return False
