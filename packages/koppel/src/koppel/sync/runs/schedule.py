"""The schedule of syncs: the moments at which an administration is due, in local time.

A schedule is a sequence of moments, one per interval, at an offset within the interval that is the
administration's own (`offset_of`). An administration is due when it has begun no run since the newest moment,
so one run makes up for any number of missed ones.

daily    once between 4:00 and 8:00, before the office opens; a missed run is caught up at once
night    once between 0:00 and 5:00; a missed run waits for the next night
hourly_N every N hours
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta, tzinfo

HOURS = {"hourly_2": 2, "hourly_4": 4, "hourly_8": 8}
DAILY = (time(4), timedelta(hours=4))
NIGHT = (time(0), timedelta(hours=5))
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def offset_of(administration_id: int) -> float:
    """Return a number in [0, 1) that is stable and independent of the order of import."""
    digest = hashlib.blake2b(str(administration_id).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def newest_moment(schedule: str, at: datetime, offset: float, zone: tzinfo) -> datetime | None:
    """Return the newest moment of the schedule that is not after `at`; None when it has none."""
    if schedule in HOURS:
        interval = timedelta(hours=HOURS[schedule])
        passed = (at - EPOCH - interval * offset) // interval
        return EPOCH + interval * (passed + offset)
    if schedule not in ("daily", "night"):
        return None
    begins, length = DAILY if schedule == "daily" else NIGHT
    today = at.astimezone(zone).date()
    moments = (
        _local_time_after(today - timedelta(days=days), begins, length * offset, zone) for days in (0, 1)
    )
    return next(moment for moment in moments if moment <= at)


def is_due(schedule: str, last_begun_at: datetime | None, at: datetime, offset: float, zone: tzinfo) -> bool:
    """Return whether a run should begin now.

    `last_begun_at` is the start of the newest run, whatever its trigger and outcome.
    """
    moment = newest_moment(schedule, at, offset, zone)
    if moment is None or (last_begun_at is not None and last_begun_at >= moment):
        return False
    return schedule != "night" or _is_night(at, zone)


def next_moment(schedule: str, at: datetime, offset: float, zone: tzinfo) -> datetime | None:
    """Return the first moment after `at`, for display."""
    if schedule in HOURS:
        newest = newest_moment(schedule, at, offset, zone)
        return newest + timedelta(hours=HOURS[schedule]) if newest else None
    if schedule not in ("daily", "night"):
        return None
    begins, length = DAILY if schedule == "daily" else NIGHT
    today = at.astimezone(zone).date()
    moments = (
        _local_time_after(today + timedelta(days=days), begins, length * offset, zone) for days in (0, 1)
    )
    return next(moment for moment in moments if moment > at)


def _local_time_after(day: date, begins: time, after: timedelta, zone: tzinfo) -> datetime:
    """Return the moment of a local time on a day, exactly one per day.

    A time that the change to summer time skips is moved one hour later; of a time that occurs twice, the
    first is returned.
    """
    wall = datetime.combine(day, begins) + after
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _is_night(at: datetime, zone: tzinfo) -> bool:
    begins, length = NIGHT
    local = at.astimezone(zone)
    return begins <= local.time() < (datetime.combine(local.date(), begins) + length).time()
