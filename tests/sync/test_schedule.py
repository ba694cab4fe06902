"""Schedules: local time, spread, caught up once, paused with the connection."""

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from koppel.administrations.models import Administration
from koppel.connections.models import Connection
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.locks import LOCK_UNTIL_COMMIT_SQL, LockName, lock_key
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import Run
from koppel.sync.runs.schedule import HOURS, is_due, newest_moment, next_moment, offset_of
from koppel.sync.runs.services import request_due_runs
from tests.fixtures.people import MakeActor
from tests.sync.test_queue import firm_with

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
ZONES = st.sampled_from(
    [AMSTERDAM, ZoneInfo("Europe/Oslo"), ZoneInfo("America/New_York"), ZoneInfo("Pacific/Auckland"), UTC]
)
MOMENTS = st.integers(0, 4 * 365 * 24 * 60).map(
    lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
SPREADS = st.floats(0, 1, exclude_max=True)
SCHEDULES = st.sampled_from(["daily", "night", *HOURS])


@given(SCHEDULES, MOMENTS, SPREADS, ZONES)
def test_the_newest_moment_is_just_past_and_the_next_just_ahead(
    schedule: str, at: datetime, offset: float, zone: ZoneInfo
) -> None:
    newest, following = newest_moment(schedule, at, offset, zone), next_moment(schedule, at, offset, zone)
    assert newest is not None
    assert following is not None
    assert newest <= at < following
    longest = timedelta(hours=HOURS.get(schedule, 25))
    assert following - newest <= longest
    assert following - newest >= longest - timedelta(hours=2 if schedule not in HOURS else 0, microseconds=1)


@given(st.sampled_from(["daily", *HOURS]), MOMENTS, SPREADS, ZONES, st.integers(0, 40))
def test_however_many_were_missed_one_run_catches_up(
    schedule: str, at: datetime, offset: float, zone: ZoneInfo, days: int
) -> None:
    last = at - timedelta(days=days, hours=26)
    assert is_due(schedule, last, at, offset, zone)
    assert not is_due(schedule, at, at + timedelta(microseconds=1), offset, zone)


@given(MOMENTS, SPREADS, ZONES)
def test_a_year_of_nights_has_one_run_each_whatever_the_clocks_do(
    start: datetime, offset: float, zone: ZoneInfo
) -> None:
    at, last, begun = start, start, []
    while at < start + timedelta(days=10):
        if is_due("night", last, at, offset, zone):
            begun.append(at)
            last = at
        at += timedelta(minutes=10)
    assert 9 <= len(begun) <= 11
    assert all(one.astimezone(zone).hour < 5 for one in begun)
    assert len({one.astimezone(zone).date() for one in begun}) == len(begun)


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
@pytest.mark.parametrize("schedule", ["daily", "night"])
def test_the_nights_in_which_the_clocks_change(day: str, schedule: str) -> None:
    """02:30 is left out in March and comes twice in October: still one run for that date."""
    for offset in (0.0, 0.49, 0.51, 0.7, 0.999):
        at = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=AMSTERDAM)
        first = next_moment(schedule, at, offset, AMSTERDAM)
        assert first is not None
        second = next_moment(schedule, first, offset, AMSTERDAM)
        assert second is not None
        dates = [one.astimezone(AMSTERDAM).date() for one in (first, second)]
        assert dates[1] - dates[0] == timedelta(days=1)


def test_off_is_never_due_and_what_never_ran_is() -> None:
    assert not is_due("off", None, timezone.now(), 0.5, AMSTERDAM)
    assert is_due("hourly_2", None, timezone.now(), 0.5, AMSTERDAM)


def test_administrations_are_spread_evenly() -> None:
    hours = [int(offset_of(number) * 10) for number in range(5000)]
    assert all(400 < hours.count(tenth) < 600 for tenth in range(10))


def scheduled(actor_organisation: int) -> list[Run]:
    with organisation_scope(actor_organisation):
        return list(Run.objects.filter(trigger="schedule").order_by("administration_id"))


def test_one_run_catches_up_after_a_week_without_server(actor: MakeActor) -> None:
    firm, companies = firm_with(actor, 12)
    with organisation_scope(firm.organisation_id):
        Administration.objects.filter(pk=companies[0].pk).update(settings={"schedule": "off"})
        Administration.objects.filter(pk=companies[1].pk).update(status="deactivated")
        Administration.objects.filter(pk=companies[2].pk).update(activated_at=None)
        Run.objects.create(
            organisation_id=firm.organisation_id, administration=companies[3], trigger="manual"
        )
        week_ago = timezone.now() - timedelta(days=7)
        for company in companies[4:]:
            run = Run.objects.create(
                organisation_id=firm.organisation_id,
                administration=company,
                trigger="schedule",
                state="succeeded",
            )
            Run.objects.filter(pk=run.pk).update(created_at=week_ago)
    assert request_due_runs() == 8
    assert [run.administration_id for run in scheduled(firm.organisation_id) if run.state == "queued"] == [
        company.pk for company in companies[4:]
    ]
    assert request_due_runs() == 0, "once, not seven times"


def test_a_sync_of_single_resources_does_not_stand_for_the_scheduled_one(actor: MakeActor) -> None:
    firm, (administration, other) = firm_with(actor, 2)
    with organisation_scope(firm.organisation_id):
        done = {"organisation_id": firm.organisation_id, "trigger": "manual", "state": "succeeded"}
        Run.objects.create(administration=administration, resources=["accounts"], **done)
        Run.objects.create(administration=other, **done)
    assert request_due_runs() == 1
    assert [run.administration_id for run in scheduled(firm.organisation_id)] == [administration.pk]


@pytest.mark.parametrize(
    ("state", "count"), [("active", 2), ("degraded", 2), ("needs_reauth", 0), ("paused", 0)]
)
def test_a_connection_that_does_not_work_schedules_nothing(actor: MakeActor, state: str, count: int) -> None:
    firm, _companies = firm_with(actor, 2)
    with organisation_scope(firm.organisation_id):
        Connection.objects.update(state=state)
    assert request_due_runs() == count


def test_scheduling_takes_a_constant_number_of_queries(actor: MakeActor) -> None:
    counts = []
    for size in (3, 60):
        firm_with(actor, size)
        with CaptureQueriesContext(connections["default"]) as captured:
            assert request_due_runs() == size
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_killed_scheduler_leaves_nothing_behind(actor: MakeActor, database_addresses: Addresses) -> None:
    firm_with(actor, 3)
    with psycopg.connect(database_addresses.app_url) as other:
        other.execute(LOCK_UNTIL_COMMIT_SQL, [lock_key(LockName.SCHEDULE)])
        assert request_due_runs() == 0, "another worker is at it"
        backend = other.info.backend_pid
        with psycopg.connect(database_addresses.superuser_url) as superuser:
            ended = superuser.execute("SELECT pg_terminate_backend(%s, 60000)", [backend]).fetchone()
        assert ended == (True,)
        with contextlib.suppress(psycopg.OperationalError):
            other.execute("SELECT 1")
    assert request_due_runs() == 3
