"""Which older backups are deleted after a new one."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from koppel.cli.backup.manifest import complete_backups, moment_of
from koppel.kit.cli.errors import CommandError

_PART = re.compile(r"([1-9]\d{0,3})([dwm]?)")
_PERIODS: dict[str, Callable[[datetime], object]] = {
    "": lambda moment: moment,
    "d": lambda moment: moment.date(),
    "w": lambda moment: moment.isocalendar()[:2],
    "m": lambda moment: (moment.year, moment.month),
}


@dataclass(frozen=True)
class Retention:
    """How many backups are kept: of each period (none, day, week or month) the newest one."""

    counts: tuple[tuple[str, int], ...]

    def select(self, moments: Sequence[datetime]) -> set[datetime]:
        """Return the moments of the backups that are kept. The newest one always is."""
        newest_first = sorted(moments, reverse=True)
        selected = set(newest_first[:1])
        for period, count in self.counts:
            newest_of_period: dict[object, datetime] = {}
            for moment in newest_first:
                newest_of_period.setdefault(_PERIODS[period](moment), moment)
            selected.update(list(newest_of_period.values())[:count])
        return selected


def parse_retention(text: str) -> Retention | None:
    """Parse `14` or `7d,4w,12m`; None when it is empty: all are kept. Raises `CommandError`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    matches = [_PART.fullmatch(part) for part in parts]
    if not all(matches):
        raise CommandError(
            f"{text!r} does not say how many backups are kept: write 14 for the newest fourteen,"
            " or 7d,4w,12m for one of each of seven days, four weeks and twelve months."
        )
    return Retention(tuple((match[2], int(match[1])) for match in matches if match)) if parts else None


def delete_older(directory: Path, retention: Retention) -> list[Path]:
    """Delete the backups that are not kept, and return them, the newest first."""
    backups = {moment: folder for folder in complete_backups(directory) if (moment := moment_of(folder))}
    kept_moments = retention.select(list(backups))
    superfluous = [folder for moment, folder in backups.items() if moment not in kept_moments]
    for folder in superfluous:
        shutil.rmtree(folder)
    return superfluous
