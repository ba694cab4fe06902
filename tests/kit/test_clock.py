"""The clock can be set, and only within a block."""

from datetime import UTC, datetime, timedelta

import pytest

from koppel.kit.clock import clock_set_to, now

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_the_clock_runs_in_utc() -> None:
    assert datetime.now(UTC) <= now() <= datetime.now(UTC)
    assert now().utcoffset() == timedelta(0)


def test_a_set_clock_holds_for_the_block_and_can_be_set_again_inside() -> None:
    with clock_set_to(NOON):
        assert now() == NOON
        with clock_set_to(lambda: NOON + timedelta(hours=1)):
            assert now() == NOON + timedelta(hours=1)
        assert now() == NOON
    assert now() != NOON


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"), clock_set_to(datetime(2026, 1, 1)):  # noqa: DTZ001
        pass
