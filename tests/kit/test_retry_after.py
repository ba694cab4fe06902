"""What `Retry-After` may hold: seconds, dates in three forms, and what people write instead."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from koppel.kit.clock import clock_set_to
from koppel.kit.http.retry_after import PAUSE_SECONDS_MAX, RequestedPause, requested_pause

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)
EPOCH_NOON = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("3600", 3600),
        (" 60 ", 60),
        ("1.5", 1.5),
        ("0.2", 0.2),
        ("Sun, 29 Nov 2026 14:00:00 GMT", 7200),
        ("Sunday, 29-Nov-26 14:00:00 GMT", 7200),
        ("Sun Nov 29 14:00:00 2026", 7200),
        ("Sun, 29 Nov 2026 16:00:00 +0200", 7200),
        ("2026-11-29T14:00:00Z", 7200),
        ("60, 3600", 3600),
        ("-5,60", 60),
        (f"{EPOCH_NOON + 90}", 90),
        (f"{EPOCH_NOON + 90}.5", 90.5),
        (f"{(EPOCH_NOON + 90) * 1000}", 90),
        (f"{EPOCH_NOON - 90}, 30", 30),
        ("86401", 86401),
        ("Sun, 29 Nov 2026 14:00:00 GMT, 60", 7200),
    ],
)
def test_seconds_and_every_form_of_a_date_are_read(text: str, seconds: float) -> None:
    with clock_set_to(NOON):
        assert requested_pause({"retry-after": text}) == RequestedPause(seconds)


def test_a_date_counts_from_the_clock_of_the_answer() -> None:
    headers = {"date": "Sun, 29 Nov 2026 09:00:00 GMT", "retry-after": "Sun, 29 Nov 2026 10:00:00 GMT"}
    with clock_set_to(NOON):
        assert requested_pause(headers) == RequestedPause(3600)
        assert requested_pause({**headers, "date": "garbage"}) is None, "past, by our own clock"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-5",
        "-3600.5",
        "soon",
        "inf",
        "nan",
        "1e5",
        "٣",
        "12:00",
        "1764500000",
        "1764500000000",
        "Sun, 29 Nov 2026 11:00:00 GMT",
    ],
)
def test_what_is_past_negative_or_garbage_asks_for_no_pause(text: str) -> None:
    with clock_set_to(NOON):
        assert requested_pause({"retry-after": text}) is None
    assert requested_pause({}) is None


@pytest.mark.parametrize(
    "text", ["259201", "999999999", "4102444800", "9" * 500, "Fri, 31 Dec 9999 23:59:59 GMT"]
)
def test_what_is_absurdly_far_is_capped_and_says_so(text: str) -> None:
    with clock_set_to(NOON), capture_logs() as lines:
        pause = requested_pause({"retry-after": text})
    assert pause == RequestedPause(PAUSE_SECONDS_MAX, is_capped=True)
    assert [line["event"] for line in lines] == ["retry_after_unusual"]
