"""The health of a connection: vendor failures and recovery, lost consents, probes."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from koppel.connections.health.expiry import notify_expiring_and_review_owners
from koppel.connections.health.states import record_failure
from koppel.connections.lifecycle import connection_check
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import Connection, Grant
from koppel.connections.sessions import runtime
from koppel.connections.tasks import check_health
from koppel.connections.vault import grant_status
from koppel.issues.models import Issue
from koppel.kit.database.threads import run_in_thread
from koppel.kit.http.client import HttpClient
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliverySettings, Notification
from koppel.organisations.models import Organisation
from tests.connections.factories import (
    event_kinds,
    import_first,
    reload_connection,
    sign_in,
    statuses,
    timeline_of,
    wait_until_described,
)
from tests.fixtures.stack import CLIENT_SECRET, Connected, MakeConnected, wait_until


@pytest.fixture
def anna(connected: MakeConnected) -> Connected:
    return connected()


def issues(firm: Connected) -> set[str]:
    with organisation_scope(firm.actor.organisation_id):
        return set(Issue.objects.filter(resolved_at=None).values_list("code", flat=True))


def notices(firm: Connected) -> list[str]:
    with organisation_scope(firm.actor.organisation_id):
        return list(Notification.objects.order_by("pk").values_list("event_type", flat=True))


def change(firm: Connected, model: Any, **values: Any) -> None:
    with organisation_scope(firm.actor.organisation_id):
        model.objects.update(**values)


def test_a_probe_costs_one_cheap_call(anna: Connected) -> None:
    anna.sandbox.forget_calls()
    outcome = check_connection(anna.actor, anna.connection.pk)
    assert (outcome.answered, outcome.state, outcome.code) == (True, "active", "")
    assert [one["path"].rpartition("/")[2] for one in anna.sandbox.calls()] == ["organization"]
    assert reload_connection(anna).last_contact_at > anna.connection.last_contact_at


@pytest.mark.parametrize(
    "fault", [{"status": 502}, {"kind": "html"}, {"kind": "drop"}, {"kind": "html", "status": 200}]
)
def test_a_vendor_that_fails_degrades_the_connection_and_its_answer_heals_it(
    anna: Connected, fault: dict[str, Any]
) -> None:
    change(anna, Connection, last_contact_at=datetime.now(UTC) - timedelta(hours=1))
    anna.sandbox.fault("organization", times=9, **fault)
    assert not check_connection(anna.actor, anna.connection.pk).answered
    down = reload_connection(anna)
    assert down.state == "degraded"
    assert down.reason
    anna.sandbox.control("faults", method="DELETE")
    assert check_connection(anna.actor, anna.connection.pk).state == "active"
    (event,) = [one for one in timeline_of(anna) if one.kind == "degraded"]
    assert event.ended_at > event.at
    assert issues(anna) == set()
    assert notices(anna) == []


def test_a_token_endpoint_that_is_down_for_long_is_one_line_and_no_mail(anna: Connected) -> None:
    """Interruptions that follow each other closely are one line, too."""
    change(anna, Grant, expires_at=datetime.now(UTC))
    anna.sandbox.fault("/connect/token", status=503, times=3)
    for _attempt in range(3):
        change(anna, Grant, retry_at=None)
        assert check_connection(anna.actor, anna.connection.pk).state == "degraded"
    change(anna, Grant, retry_at=None)
    assert check_connection(anna.actor, anna.connection.pk).state == "active"
    change(anna, Grant, expires_at=datetime.now(UTC))
    anna.sandbox.fault("/connect/token", status=503, times=1)
    assert check_connection(anna.actor, anna.connection.pk).state == "degraded"
    change(anna, Grant, retry_at=None)
    assert check_connection(anna.actor, anna.connection.pk).state == "active"
    (event,) = [one for one in timeline_of(anna) if one.kind == "degraded"]
    assert event.count == 2
    assert notices(anna) == []


def test_one_failing_company_does_not_degrade_the_connection(anna: Connected) -> None:
    """The first failure comes straight after an answer, and others are answered before the second."""
    first, second = import_first(anna, 2)
    where = (anna.actor.organisation_id, anna.connection.pk, first.remote_company_id)
    change(anna, Connection, last_contact_at=datetime.now(UTC))
    record_failure(*where, "answers with an error (500)")
    assert reload_connection(anna).state == "active"
    change(anna, Connection, last_contact_at=datetime.now(UTC))
    record_failure(*where, "answers with an error (500)")
    assert reload_connection(anna).state == "active"
    with organisation_scope(anna.actor.organisation_id):
        first.remote_company.refresh_from_db()
        second.remote_company.refresh_from_db()
    assert first.remote_company.failing_since
    assert not second.remote_company.failing_since
    for _twice in range(2):
        record_failure(*where[:2], second.remote_company_id, "answers with an error (500)")
    assert reload_connection(anna).state == "degraded"


@pytest.mark.usefixtures("worker")
def test_a_dead_consent_asks_its_owner_once_and_signing_in_again_heals_it(anna: Connected) -> None:
    import_first(anna, 4, sync=True)
    wait_until_described(anna)
    wait_until(lambda: statuses(anna) == {"active"})
    anna.sandbox.control("revoke", {})
    change(anna, Grant, expires_at=datetime.now(UTC))
    for _round in range(3):
        check_connection(anna.actor, anna.connection.pk)
    assert reload_connection(anna).state == "needs_reauth"
    assert notices(anna).count("connection_lost") == 1
    assert issues(anna) == {"consent_lost"}
    sign_in(anna, "reconnect")
    assert reload_connection(anna).state == "active"
    assert issues(anna) == set()
    assert [kind for kind in event_kinds(anna) if kind in ("connected", "lost", "reconnected")] == [
        "connected",
        "lost",
        "reconnected",
    ]


def test_an_expiring_consent_is_announced_once(anna: Connected) -> None:
    ends = datetime.now(UTC) + timedelta(days=6)
    assert notify_expiring_and_review_owners() == 0
    change(anna, Grant, refresh_expires_at=ends)
    assert [notify_expiring_and_review_owners(), notify_expiring_and_review_owners()] == [1, 0]
    assert notices(anna) == ["consent_expiring"]
    assert issues(anna) == {"consent_expiring"}
    sign_in(anna, "reconnect")
    assert issues(anna) == set()


def test_an_expiring_consent_is_announced_to_the_owners_stand_in(anna: Connected, actor: Any) -> None:
    with organisation_scope(anna.actor.organisation_id):
        ben = actor("user", organisation=Organisation.objects.get(), name="Ben")
        DeliverySettings.objects.create(
            organisation_id=anna.actor.organisation_id,
            membership_id=anna.actor.membership_id,
            stand_in_id=ben.membership_id,
            away_until=timezone.localdate() + timedelta(days=3),
        )
    change(anna, Grant, refresh_expires_at=datetime.now(UTC) + timedelta(days=6))
    notify_expiring_and_review_owners()
    with organisation_scope(anna.actor.organisation_id):
        notice = Notification.objects.get(membership_id=ben.membership_id, event_type="consent_expiring")
        assert (notice.reason, notice.recovered_at) == ("stand_in", None)
    sign_in(anna, "reconnect")
    with organisation_scope(anna.actor.organisation_id):
        notice.refresh_from_db()
        assert notice.recovered_at


def test_consents_that_expire_together_are_announced_once(
    connected: MakeConnected,
) -> None:
    """One company per sign-in: eight of them within eight minutes.

    Anna signs in again for one after the other.
    """
    anna = connected("company_per_sign_in")
    tenants = [one["tenant_id"] for one in anna.sandbox.companies()]
    for tenant in tenants[1:]:
        sign_in(anna, "add_company", anew=True, tenant=tenant)
    ends = datetime.now(UTC) + timedelta(days=6)
    with organisation_scope(anna.actor.organisation_id):
        for minutes, grant in enumerate(Grant.objects.order_by("pk")):
            Grant.objects.filter(pk=grant.pk).update(refresh_expires_at=ends + timedelta(minutes=minutes))
    counts = [notify_expiring_and_review_owners()]
    for tenant in tenants:
        assert issues(anna) == {"consent_expiring"}, "the others still end"
        sign_in(anna, "reconnect", tenant=tenant)
        counts.append(notify_expiring_and_review_owners())
    assert (sum(counts), notices(anna), issues(anna)) == (1, ["consent_expiring"], set())


def test_degraded_and_idle_connections_are_probed_automatically(anna: Connected) -> None:
    change(anna, Connection, state="degraded", next_probe_at=datetime.now(UTC), last_contact_at=None)
    run_maintenance(anna)
    assert reload_connection(anna).state == "active"
    anna.sandbox.forget_calls()
    change(anna, Connection, last_contact_at=datetime.now(UTC) - timedelta(hours=5))
    run_maintenance(anna)
    assert anna.sandbox.calls() == []
    change(
        anna,
        Connection,
        last_contact_at=datetime.now(UTC) - timedelta(hours=7),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    run_maintenance(anna)
    run_maintenance(anna)
    assert len(anna.sandbox.calls()) == 1


def test_an_error_at_one_connection_does_not_stop_announcements_of_others(
    connected: MakeConnected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one whose probe breaks stays due, each minute anew: nobody would be told of an end for as long."""
    broken, ending = connected(), connected()
    change(broken, Connection, state="degraded", next_probe_at=datetime.now(UTC))
    change(ending, Grant, refresh_expires_at=datetime.now(UTC) + timedelta(days=3))

    async def breaks(*_where: object) -> None:
        raise LookupError("its company went away at this moment")

    monkeypatch.setattr(connection_check, "describing_session", breaks)
    run_maintenance(ending)
    assert issues(ending) == {"consent_expiring"}


def test_a_worker_that_died_after_a_renewal_leaves_no_sign_in_request(
    anna: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client secret was changed at the vendor and put right; the worker that renews the consent then
    dies.
    """
    change(anna, Grant, expires_at=datetime.now(UTC))
    anna.sandbox.client(anna.app.client_id, secret="changed")
    assert check_connection(anna.actor, anna.connection.pk).state == "needs_reauth"
    run_maintenance(anna)
    anna.sandbox.client(anna.app.client_id, secret=CLIENT_SECRET)
    change(anna, Grant, retry_at=None)

    def die(*_where: int) -> None:
        raise SystemError("killed")

    with monkeypatch.context() as dying:
        dying.setattr(grant_status, "mark_recovered", die)
        asyncio.run(renew_token(anna))
    assert (reload_connection(anna).state, issues(anna)) == ("needs_reauth", {"consent_lost"})
    run_maintenance(anna)
    assert (reload_connection(anna).state, issues(anna)) == ("active", set())


async def renew_token(firm: Connected) -> None:
    async with HttpClient() as http, runtime.runtime(http, size=4) as process_runtime:
        grant_id = await run_in_thread(lambda: grant_id_of(firm))
        with pytest.raises(SystemError):
            await process_runtime.vault.get_access_token(firm.actor.organisation_id, grant_id)


def grant_id_of(firm: Connected) -> int:
    with organisation_scope(firm.actor.organisation_id):
        return int(Grant.objects.get().pk)


def run_maintenance(firm: Connected) -> None:
    """What a worker does each minute."""

    async def within() -> None:
        async with HttpClient() as http, runtime.as_worker(http, size=4):
            await check_health.func(0)

    asyncio.run(within())
