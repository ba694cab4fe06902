"""The pause that a response asks for by `Retry-After` (RFC 9110, 10.2.3): seconds, or an HTTP date.

Vendors, token endpoints, registers and receivers of webhooks are all read here, so that one rule holds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import structlog

from koppel.kit.clock import now

log = structlog.get_logger(__name__)
UNUSUAL_SECONDS = 86_400.0
"""Longer pauses are honoured up to the limit, and written to the log: most are mistakes."""
EPOCH_SECONDS_MIN, EPOCH_MILLISECONDS_MIN = 1e9, 1e12
"""Larger numbers are moments since 1970: as a number of seconds it would be 31 years."""
PAUSE_SECONDS_MAX = 3 * 86_400.0
"""Longer than a weekend's maintenance. What asks for more is called once when this is over: a wrong number
must not stop books for a year.
"""
_SECONDS = re.compile(r"[0-9]+(\.[0-9]*)?")
_ONE_OF_LIST = re.compile(r"(?:[A-Za-z]+,)?[^,]+")


@dataclass(frozen=True)
class RequestedPause:
    """A pause that a server asked for."""

    seconds: float
    """Make no call for this long."""
    is_capped: bool = False
    """Whether the server asked for more than Koppel waits."""


def requested_pause(headers: Mapping[str, str]) -> RequestedPause | None:
    """Return the pause that the headers (names in lower case) ask for.

    None when they ask for none: no such header, an unreadable value, a negative number, zero, or a past date.
    A date counts from the response's own `Date`, because clocks differ. Of several headers, which proxies
    add, the longest pause holds. A number of ten digits is no duration but a moment since 1970, of thirteen
    one in milliseconds.
    """
    texts = [match[0].strip() for match in _ONE_OF_LIST.finditer(headers.get("retry-after", ""))]
    seconds = max((_seconds(text, headers.get("date", "")) for text in texts), default=0.0)
    if seconds <= 0:
        return None
    if seconds > UNUSUAL_SECONDS:
        log.warning("retry_after_unusual", value=headers["retry-after"][:100], seconds=min(seconds, 1e12))
    return RequestedPause(min(seconds, PAUSE_SECONDS_MAX), is_capped=seconds > PAUSE_SECONDS_MAX)


def _seconds(text: str, date_header: str) -> float:
    if not _SECONDS.fullmatch(text):
        return _seconds_until(text, date_header)
    number = float(text)
    if number < EPOCH_SECONDS_MIN:
        return number
    moment = number / 1000 if number >= EPOCH_MILLISECONDS_MIN else number
    return moment - (_http_date(date_header) or now()).timestamp()


def _seconds_until(text: str, date_header: str) -> float:
    until = _http_date(text)
    return (until - (_http_date(date_header) or now())).total_seconds() if until else 0.0


def _http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date in any of its three forms, or of an ISO date with time; or None."""
    try:
        moment = datetime.fromisoformat(text) if text[:4].isdecimal() else parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
