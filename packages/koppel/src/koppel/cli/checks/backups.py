"""Check that there are backups, where this machine is set to write some."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from koppel.cli.backup.daily_backup import backup_directory, parse_backup_time
from koppel.cli.backup.manifest import complete_backups, moment_of
from koppel.cli.checks.result import CheckFinding, advice
from koppel.kit.cli.errors import CommandError

AGE_MAX = timedelta(hours=30)
"""Of the newest backup where one is written every day."""


def check_backups() -> Iterator[CheckFinding]:
    """Report the newest backup; nothing where none are written."""
    directory = backup_directory(Path(os.environ["KOPPEL_DATA_DIR"]), os.environ)
    try:
        daily_at = parse_backup_time(os.environ)
    except CommandError as refusal:
        yield CheckFinding(topic="backup", is_ok=False, text=str(refusal))
        return
    backups = complete_backups(directory)
    newest = moment_of(backups[0]) if backups else None
    if newest is None:
        if daily_at is not None:
            yield advice("backup", f"There is no backup in {directory} yet.")
    elif daily_at is not None and datetime.now(UTC) - newest > AGE_MAX:
        yield CheckFinding(
            topic="backup",
            is_ok=False,
            text=f"The newest backup in {directory} is of {newest:%Y-%m-%d %H:%M} UTC.",
        )
    else:
        yield CheckFinding(
            topic="backup", is_ok=True, text=f"The newest backup is of {newest:%Y-%m-%d %H:%M} UTC."
        )
