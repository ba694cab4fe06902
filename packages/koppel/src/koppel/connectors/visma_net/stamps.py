"""The vendor's modification stamps: texts without a time zone, which Visma does not publish."""

from collections.abc import Iterable
from datetime import datetime, timedelta

OVERLAP = timedelta(minutes=70)
"""Rows may become visible late, and stamps may be in local time: in autumn an hour occurs twice, and edits of
its second pass would sort before those of its first.
"""
STAMP = "%Y-%m-%dT%H:%M:%S"
FUTURE_MAX = timedelta(hours=3)
"""How far stamps may lie in the future: their time zone is not published, and Helsinki is the easternmost
candidate.
"""
FIRST = "1980"
"""No accounting system is older; some write the first day of their calendar for an unknown moment."""


def newest_stamp(stamps: Iterable[str], at: datetime) -> str:
    """Return the latest of the stamps; '' without one.

    Stamps in the future are ignored: a wrong clock would hide all earlier changes. So are stamps that are not
    a date, or that only mark the start of a calendar.
    """
    limit = (at + FUTURE_MAX).strftime(STAMP)
    latest_first = sorted(set(stamps), reverse=True)
    return next((stamp for stamp in latest_first if FIRST < stamp < limit and _is_moment(stamp)), "")


def with_overlap(newest: str) -> str:
    """Return the newest stamp, less an overlap: rows may become visible late."""
    return (moment_of(newest) - OVERLAP).strftime(STAMP)


def moment_of(stamp: str) -> datetime:
    """Return the stamp as a naive datetime. Raises `ValueError`."""
    return datetime.fromisoformat(stamp).replace(tzinfo=None)


def _is_moment(stamp: str) -> bool:
    try:
        moment_of(stamp)
    except ValueError:
        return False
    return True
