"""The current time, which tests of tokens and expiry can set.

Code that depends on the clock takes a `Clock` argument with `now` as its default; all other code calls
`now()`. Only tests and the vault's conformance suite set the clock.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

Clock = Callable[[], datetime]

_set_clock: ContextVar[Clock | None] = ContextVar("koppel_clock", default=None)


def now() -> datetime:
    """Return the current time in UTC."""
    clock = _set_clock.get()
    return clock() if clock else datetime.now(UTC)


@contextmanager
def clock_set_to(time: datetime | Clock) -> Iterator[None]:
    """Make `now()` return this time, or call this clock, within the block; for tests.

    Raises `ValueError` for a time without a time zone.
    """
    clock = time if callable(time) else _fixed_clock(time)
    token = _set_clock.set(clock)
    try:
        yield
    finally:
        _set_clock.reset(token)


def _fixed_clock(moment: datetime) -> Clock:
    if moment.tzinfo is None:
        raise ValueError("A moment needs a time zone.")
    return lambda: moment
