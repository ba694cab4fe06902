"""Failures of the vendor during syncs, each with a sentence for the reader in both languages.

Denied consents, used codes, and scopes and roles at sign-in are in test_consent.py.
"""

import time
from functools import partial
from typing import Any

import pytest
from django.utils import translation

from koppel.administrations.models import Administration
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.models import Grant
from koppel.connections.vault.token_refresh import TOKEN_CACHE_SECONDS
from koppel.issues.queries import open_issues
from koppel.kit.clock import now
from koppel.kit.tenancy import organisation_scope
from koppel.sync.models import OPEN_STATES, Run
from koppel.sync.runs.services import request_run
from tests.connections.factories import import_first, reload_connection, wait_until_described
from tests.fixtures.first_steps import newcomer
from tests.fixtures.stack import CLIENTS, Connected, MakeConnected, wait_until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.fixture
def firm(connected: MakeConnected) -> Connected:
    """Two administrations, complete and active."""
    connected_firm = connected()
    import_first(connected_firm, 2, sync=True)
    wait_until_described(connected_firm)
    wait_until(lambda: statuses(connected_firm) == ["active", "active"])
    connected_firm.sandbox.forget_calls()
    return connected_firm


def page_contains(browser: Any, url: str, word: str) -> bool:
    return word in browser.get(url).content.decode()


def administrations(connected_firm: Connected) -> list[Administration]:
    with organisation_scope(connected_firm.actor.organisation_id):
        return list(Administration.objects.order_by("remote_company_id"))


def statuses(connected_firm: Connected) -> list[str]:
    return [one.status for one in administrations(connected_firm)]


def company(connected_firm: Connected, index: int = 0) -> str:
    """The sandbox's key of an administration's company."""
    with organisation_scope(connected_firm.actor.organisation_id):
        return Administration.objects.order_by("remote_company_id")[index].remote_company.external_id


def sync(connected_firm: Connected) -> None:
    """Everything once more, until nothing is under way."""
    with organisation_scope(connected_firm.actor.organisation_id):
        for administration in Administration.objects.all():
            request_run(connected_firm.actor, administration.pk)
    wait_until(lambda: not is_busy(connected_firm))


def is_busy(connected_firm: Connected) -> bool:
    with organisation_scope(connected_firm.actor.organisation_id):
        return Run.objects.filter(state__in=OPEN_STATES).exists()


def sentences(
    connected_firm: Connected, language: str, kind: str = "administration", key: int | None = None
) -> str:
    """What stands at the first administration (or another subject)."""
    subject = administrations(connected_firm)[0].pk if key is None else key
    with organisation_scope(connected_firm.actor.organisation_id), translation.override(language):
        issues = open_issues(connected_firm.actor, kind, [subject]).get(subject, [])
        return " ".join(f"{one.message} {one.advice}" for one in issues)


def has_both_sentences(connected_firm: Connected, english: str, dutch: str) -> bool:
    return english in sentences(connected_firm, "en") and dutch in sentences(connected_firm, "nl")


def test_a_licence_that_ended_blocks_its_company_and_no_other(firm: Connected) -> None:
    firm.sandbox.control(f"companies/{company(firm)}", {"licensed": False})
    sync(firm)
    assert statuses(firm) == ["blocked", "active"]
    assert has_both_sentences(firm, "the licence has ended", "de licentie is beëindigd")
    firm.sandbox.control(f"companies/{company(firm)}", {"licensed": True})
    sync(firm)
    assert statuses(firm) == ["active", "active"]
    assert "licence" not in sentences(firm, "en")


def test_a_closed_company_is_reported_and_its_books_are_kept(firm: Connected) -> None:
    firm.sandbox.control(f"companies/{company(firm)}", {"closed": True})
    sync_company_list(firm.actor, firm.connection.pk)
    assert has_both_sentences(firm, "no longer reaches", "bereikt")
    sync(firm)
    assert statuses(firm)[1] == "active"


def test_a_new_name_or_a_new_number_is_reported_and_stops_nothing(firm: Connected) -> None:
    firm.sandbox.control(f"companies/{company(firm)}", {"name": "Nieuwe Naam B.V."})
    firm.sandbox.control(f"companies/{company(firm, 1)}", {"number": "69599084"})
    sync(firm)
    assert statuses(firm) == ["active", "active"]
    assert has_both_sentences(
        firm, "was renamed to Nieuwe Naam B.V. in the accounting system", "Nieuwe Naam B.V."
    )
    numbered = administrations(firm)[1].pk
    assert "has a new number in the accounting system: 69599084" in sentences(firm, "en", key=numbered)
    assert "69599084" in sentences(firm, "nl", key=numbered)


def test_a_new_name_and_a_new_number_at_once_stop_that_company_and_no_other(firm: Connected) -> None:
    firm.sandbox.control(f"companies/{company(firm)}", {"name": "Nieuwe Naam B.V.", "number": "69599084"})
    sync(firm)
    assert statuses(firm) == ["blocked", "active"]
    assert has_both_sentences(firm, "Is this the same company?", "Is dit hetzelfde bedrijf?")
    assert has_both_sentences(firm, "Nieuwe Naam B.V.", "69599084")


def test_a_storm_of_401_renews_the_token_once_and_ends_in_a_sentence(firm: Connected) -> None:
    firm.sandbox.fault("/v[12]/", status=401, times=500)
    sync(firm)
    assert len(firm.sandbox.calls("/connect/token")) <= 2
    blocked = next(one.pk for one in administrations(firm) if one.status == "blocked")
    assert "even with a new token" in sentences(firm, "en", key=blocked)
    assert "met een nieuw token" in sentences(firm, "nl", key=blocked)
    firm.sandbox.control("faults", method="DELETE")
    sync(firm)
    assert statuses(firm) == ["active", "active"]


def test_error_pages_instead_of_data_are_waited_out(firm: Connected) -> None:
    firm.sandbox.fault("/v[12]/", kind="html", status=502, times=3)
    sync(firm)
    assert statuses(firm) == ["active", "active"]
    assert "page instead of data" not in sentences(firm, "en")


def test_a_secret_that_was_changed_is_put_right_under_app_registrations(firm: Connected) -> None:
    firm.sandbox.client(CLIENTS["company_list"], secret="changed")
    firm.sandbox.control("clock", {"advance_seconds": 3700})
    sync(firm)
    connection = reload_connection(firm)
    assert connection.state == "needs_reauth"
    assert "under App registrations" in sentences(firm, "en", "connection", connection.pk)
    assert "bij App-registraties" in sentences(firm, "nl", "connection", connection.pk)
    for language, word in (("en", "under App registrations"), ("nl", "bij App-registraties")):
        page: Any = newcomer(firm.actor, firm.sandbox, language).client.get(f"/connections/{connection.pk}/")
        assert word in page.content.decode()


def test_runs_wait_for_a_token_endpoint_that_is_down(firm: Connected) -> None:
    firm.sandbox.fault("/connect/token", kind="down", status=503, times=10_000)
    with organisation_scope(firm.actor.organisation_id):
        Grant.objects.update(expires_at=now())
    time.sleep(TOKEN_CACHE_SECONDS + 0.2)
    with organisation_scope(firm.actor.organisation_id):
        for administration in Administration.objects.all():
            request_run(firm.actor, administration.pk)
    wait_until(lambda: reload_connection(firm).state == "degraded")
    wait_until(
        lambda: (
            [(administration.state, bool(administration.reason_code)) for administration in open_runs(firm)]
            == [("queued", True)] * 2
        )
    )
    administration_id = administrations(firm)[0].pk
    for language, word in (
        ("en", "Koppel keeps trying; no data is lost"),
        ("nl", "Koppel blijft het proberen"),
    ):
        browser = newcomer(firm.actor, firm.sandbox, language).client
        assert word in browser.get(f"/connections/{firm.connection.pk}/").content.decode()
        # Each time that it is tried, the run is under way for a moment.
        page = f"/administrations/{administration_id}/sync/"
        wait_until(partial(page_contains, browser, page, word))
    assert statuses(firm) == ["active", "active"]
    assert sentences(firm, "en", "connection", firm.connection.pk) == ""
    firm.sandbox.control("faults", method="DELETE")
    with organisation_scope(firm.actor.organisation_id):
        Grant.objects.update(retry_at=now(), maintain_at=now())
    wait_until(lambda: not is_busy(firm))
    assert reload_connection(firm).state == "active"


def open_runs(connected_firm: Connected) -> list[Run]:
    with organisation_scope(connected_firm.actor.organisation_id):
        return list(Run.objects.filter(state__in=OPEN_STATES))
