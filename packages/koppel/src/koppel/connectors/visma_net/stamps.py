"""The vendor's stamps of changes: texts without a zone, which is not published."""

from collections.abc import Iterable
from datetime import datetime, timedelta

OVERLAP = timedelta(minutes=70)
"""Rows may become visible late, and stamps may be local: in autumn an hour comes twice, and
its second edits would lie before its first."""
STAMP = "%Y-%m-%dT%H:%M:%S"
FUTURE_MAX = timedelta(hours=3)
"""The zone of the vendor's stamps is not published: those of Helsinki may be
so far ahead of UTC, none may be further."""
FIRST = "1980"
"""No accounting system is older; some write the first day of their calendar where they have no moment."""


def newest_stamp(stamps: Iterable[str], at: datetime) -> str:
    """Return the latest of the stamps, '' without one. One from the future is a clock gone wrong: following
    it would hide all that comes before it. One that is no moment, or as old as a calendar, says nothing."""
    limit = (at + FUTURE_MAX).strftime(STAMP)
    latest_first = sorted(set(stamps), reverse=True)
    return next((stamp for stamp in latest_first if FIRST < stamp < limit and _is_moment(stamp)), "")


def with_overlap(newest: str) -> str:
    """Return a stamp a little before the newest change seen: rows may become visible late."""
    return (moment_of(newest) - OVERLAP).strftime(STAMP)


def moment_of(stamp: str) -> datetime:
    """Return the moment as its wall clock shows it. Raises `ValueError`."""
    return datetime.fromisoformat(stamp).replace(tzinfo=None)


def _is_moment(stamp: str) -> bool:
    try:
        moment_of(stamp)
    except ValueError:
        return False
    return True
