"""Many companies of one consent are due at once: one call probes a rejected token for all."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from koppel.connections.models import Grant
from koppel.connections.sessions import call_vendor_blocking, token_probe
from koppel.connections.sessions.runtime import Runtime
from koppel.connections.sessions.vendor_sessions import reading_session
from koppel.connector.errors import ConnectorError
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import Notification
from tests.connections.factories import import_first, reload_connection
from tests.fixtures.stack import PATIENCE_SECONDS, Connected, MakeConnected, wait_until


@pytest.fixture
def firm(connected: MakeConnected, monkeypatch: pytest.MonkeyPatch) -> Connected:
    """Eight administrations whose access token lives for an hour, and a process that has not called yet.

    Whoever waits for the first call has more patience than a slow machine needs.
    """
    monkeypatch.setattr(token_probe, "PATIENCE_SECONDS", PATIENCE_SECONDS)
    connected_firm = connected()
    import_first(connected_firm, 8)
    connected_firm.sandbox.forget_calls()
    return connected_firm


def call_all(firm: Connected, *, times: int = 1) -> list[str]:
    """Every administration's accounts are asked for at the same moment. What became of each."""
    with organisation_scope(firm.actor.organisation_id):
        from koppel.administrations.models import Administration

        ids = list(Administration.objects.order_by("remote_company_id").values_list("pk", flat=True))

    async def call_account(process_runtime: Runtime, administration_id: int) -> str:
        session = await reading_session(process_runtime, firm.actor.organisation_id, administration_id)
        url = f"{session.base_urls['legacy']}/API/controller/api/v1/account"
        assert session.company is not None
        try:
            answer = await session.send("GET", url, headers={"ipp-company-id": session.company.external_id})
        except ConnectorError as error:
            return error.code
        return str(answer.status)

    async def all_of_them(process_runtime: Runtime) -> list[str]:
        outcomes: list[str] = []
        for _round in range(times):
            outcomes += await asyncio.gather(*(call_account(process_runtime, key) for key in ids))
        return outcomes

    return call_vendor_blocking(firm.actor.organisation_id, all_of_them)


def list_refused_calls(firm: Connected) -> list[Any]:
    return [(one["path"], one["status"]) for one in firm.sandbox.calls() if one["status"] >= 400]


def test_a_consent_that_was_withdrawn_while_its_token_lived_costs_one_refused_call(firm: Connected) -> None:
    firm.sandbox.control("revoke", {})
    assert call_all(firm, times=2) == ["invalid_grant"] * 16
    assert list_refused_calls(firm) == [("/API/controller/api/v1/account", 401), ("/connect/token", 400)]
    assert reload_connection(firm).state == "needs_reauth"
    with organisation_scope(firm.actor.organisation_id):
        assert Grant.objects.get().invalid_since is not None
        assert [one.event_type for one in Notification.objects.all()] == ["connection_lost"]


def test_a_token_that_the_vendor_dropped_is_renewed_once_for_all(firm: Connected) -> None:
    firm.sandbox.fault("/v1/account", status=401)
    assert call_all(firm) == ["200"] * 8
    assert len(firm.sandbox.calls("/connect/token")) == 1
    assert len(list_refused_calls(firm)) == 1


def test_a_company_that_refuses_every_token_holds_up_no_other(firm: Connected) -> None:
    first = int(firm.sandbox.companies()[0]["id"])
    firm.sandbox.fault("/v1/account", status=401, times=100, company=first)
    assert call_all(firm, times=2) == ["unauthorised", *["200"] * 7] * 2
    assert len(firm.sandbox.calls("/connect/token")) == 1


def test_a_first_call_that_is_slow_does_not_hold_up_the_others(
    firm: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_probe, "PATIENCE_SECONDS", 0.2)
    first = int(firm.sandbox.companies()[0]["id"])
    firm.sandbox.fault("/v1/account", kind="hold", company=first)

    def others_are_back() -> None:
        try:
            wait_until(lambda: len(firm.sandbox.calls("/v1/account")) == 7)
        finally:
            firm.sandbox.release()

    with ThreadPoolExecutor(1) as watching:
        others = watching.submit(others_are_back)
        assert call_all(firm) == ["200"] * 8
        others.result()
    assert [one["company"] == first for one in firm.sandbox.calls("/v1/account")] == [False] * 7 + [True]
