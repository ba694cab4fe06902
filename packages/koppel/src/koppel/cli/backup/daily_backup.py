"""The daily backup of `koppel up`, at the time of `KOPPEL_BACKUP_AT`."""

import os
import re
import subprocess
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from koppel.cli.backup.manifest import complete_backups, moment_of
from koppel.kit.cli.errors import CommandError

RETRY = timedelta(minutes=15)
"""After a backup that failed."""
DEFAULT_ZONE = "Europe/Amsterdam"

log = structlog.get_logger(__name__)


def backup_directory(home: Path, environment: Mapping[str, str]) -> Path:
    """Return where backups are written: `KOPPEL_BACKUP_DIR`, else a folder of the data directory."""
    return Path(environment.get("KOPPEL_BACKUP_DIR") or home / "backups").absolute()


def parse_backup_time(environment: Mapping[str, str]) -> time | None:
    """Return the time of day in the zone of the installation; None without one. Raises `CommandError`."""
    text = environment.get("KOPPEL_BACKUP_AT", "").strip()
    if not text:
        return None
    try:
        zone = ZoneInfo(environment.get("KOPPEL_TIME_ZONE") or DEFAULT_ZONE)
        if not re.fullmatch(r"\d{2}:\d{2}", text):
            raise ValueError
        return time.fromisoformat(text).replace(tzinfo=zone)
    except (ValueError, ZoneInfoNotFoundError):
        raise CommandError(f"KOPPEL_BACKUP_AT is {text!r}; write a time of day such as 03:30.") from None


def next_backup(now: datetime, daily_at: time, newest: datetime | None) -> datetime:
    """Return when the next backup is due: now, when the last one was missed."""
    local = now.astimezone(daily_at.tzinfo)
    today = datetime.combine(local.date(), daily_at)
    last = today if today <= now else today - timedelta(days=1)
    if newest is None or newest < last:
        return now
    return datetime.combine(last.date() + timedelta(days=1), daily_at)


class BackupSchedule:
    """Runs a command daily, in a thread, until it is closed."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], directory: Path, daily_at: time
    ) -> None:
        self._command, self._environment = command, dict(environment)
        self._directory, self._daily_at = directory, daily_at
        self._stopped = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="backup", daemon=True)

    def start(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """End a backup that is being written; the next one removes what it leaves."""
        self._stopped.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        if self._thread.is_alive():
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        earliest = datetime.min.replace(tzinfo=UTC)
        while not self._stopped.is_set():
            now = datetime.now(UTC)
            due = max(next_backup(now, self._daily_at, self._newest()), earliest)
            # In steps: the clock of a machine that slept goes on without the wait.
            if due > now:
                self._stopped.wait(min((due - now).total_seconds(), 60))
            else:
                earliest = datetime.now(UTC) if self._back_up() else datetime.now(UTC) + RETRY

    def _newest(self) -> datetime | None:
        backups = complete_backups(self._directory)
        return moment_of(backups[0]) if backups else None

    def _back_up(self) -> bool:
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        _out, errors = self._process.communicate()
        if self._stopped.is_set():
            return False
        if self._process.returncode:
            lines = [line for line in errors.splitlines() if line.strip()] or [""]
            log.error("backup_failed", reason=lines[-1], next_attempt_seconds=int(RETRY.total_seconds()))
            return False
        log.info("backup_written", directory=os.fspath(self._directory))
        return True
