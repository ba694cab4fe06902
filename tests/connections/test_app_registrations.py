"""App registrations: the secret is write-only, tests call the vendor, used ones are not removed."""

from typing import Any

import pytest
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.connections.models import AppRegistration, Grant
from koppel.connections.vault.encryption import credentials
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor
from tests.fixtures.first_steps import newcomer
from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, MakeConnected, Sandbox, register_app

PAGE = "/connections/apps/"
NEW = {
    "consent_mode": "visma_net/sandbox/service",
    "client_id": CLIENTS["service"],
    "client_secret": CLIENT_SECRET,
    "name": "Service app",
}


def browser(actor: Actor, sandbox: Sandbox, language: str = "en") -> Client:
    return newcomer(actor, sandbox, language).client


def own_app(actor: Actor) -> AppRegistration:
    with organisation_scope(actor.organisation_id):
        return AppRegistration.objects.get(organisation_id=actor.organisation_id)


def page_text(response: Any) -> str:
    from html import unescape

    return unescape(response.content.decode())


def test_an_administrator_registers_an_app_and_its_secret_never_comes_out(
    actor: Any, sandbox: Sandbox
) -> None:
    register_app(sandbox, "company_list")
    anna = actor("administrator")
    client = browser(anna, sandbox)
    page = client.post(PAGE, NEW, follow=True)
    app = own_app(anna)
    assert "Test it before signing in" in page_text(page)
    assert CLIENT_SECRET not in page_text(page)
    assert app.base_urls == sandbox.addresses(), "a sandbox elsewhere is found where the installation says"
    with organisation_scope(anna.organisation_id):
        assert credentials(app).client_secret.reveal() == CLIENT_SECRET
        entry = AuditEntry.objects.get(action="app_registration.created")
        assert CLIENT_SECRET not in str(entry.details)


@pytest.mark.parametrize("mode", list(CLIENTS))
def test_testing_an_app_calls_the_vendor(actor: Any, sandbox: Sandbox, mode: str) -> None:
    register_app(sandbox, "company_list")
    anna = actor("administrator")
    client = browser(anna, sandbox)
    client.post(PAGE, {**NEW, "consent_mode": f"visma_net/sandbox/{mode}", "client_id": CLIENTS[mode]})
    page = client.post(f"{PAGE}{own_app(anna).pk}/test", follow=True)
    assert "The app registration works." in page_text(page)
    assert sandbox.calls("/connect/token")
    with organisation_scope(anna.organisation_id):
        assert not Grant.objects.exists(), "nothing is granted by a test"


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("case", ["secret", "scope", "redirect", "down"])
def test_a_failed_test_says_what_to_correct(actor: Any, sandbox: Sandbox, case: str, language: str) -> None:
    app = register_app(sandbox)
    if case == "secret":
        sandbox.client(CLIENTS["company_list"], secret="changed")
    elif case == "scope":
        sandbox.client(CLIENTS["company_list"], scopes=["openid"])
    elif case == "redirect":
        sandbox.control("settings", {"strict_redirects": True})
    else:
        sandbox.fault("/connect/token", kind="html", status=502)
    page = browser(actor("administrator"), sandbox, language).post(f"{PAGE}{app.pk}/test", follow=True)
    assert FAILURES[case][language] in page_text(page)


FAILURES = {
    "secret": {
        "en": "does not accept Koppel's client secret",
        "nl": "accepteert het client secret van Koppel niet",
    },
    "scope": {"en": "lacks a scope that Koppel needs", "nl": "mist een scope die Koppel nodig heeft"},
    "redirect": {
        "en": "does not accept the redirect address",
        "nl": "accepteert het redirect-adres van deze app niet",
    },
    "down": {"en": "is not responding properly", "nl": "reageert niet goed"},
}


def test_a_new_secret_frees_the_grants_that_the_old_one_failed(connected: MakeConnected, actor: Any) -> None:
    from django.utils import timezone

    anna = actor("administrator")
    firm = connected(actor=anna)
    client = browser(anna, firm.sandbox)
    with installation_scope("test set-up"):
        AppRegistration.objects.update(organisation_id=anna.organisation_id)
    with organisation_scope(anna.organisation_id):
        Grant.objects.update(retry_at=timezone.now(), failures=4)
    change = {"client_id": CLIENTS["company_list"], "client_secret": "another", "name": "Ours"}
    client.post(f"{PAGE}{firm.app.pk}/change", change)
    app = own_app(anna)
    with organisation_scope(anna.organisation_id):
        assert Grant.objects.get().retry_at is None
        assert (app.name, credentials(app).client_secret.reveal()) == ("Ours", "another")
    client.post(f"{PAGE}{firm.app.pk}/change", {**change, "client_secret": ""})
    with organisation_scope(anna.organisation_id):
        assert credentials(own_app(anna)).client_secret.reveal() == "another", (
            "an empty field keeps the secret"
        )


def test_missing_and_duplicate_values_are_errors_at_their_field(actor: Any, sandbox: Sandbox) -> None:
    anna = actor("administrator")
    client = browser(anna, sandbox)
    page = client.post(
        PAGE, {**NEW, "client_secret": "", "consent_mode": "visma_net/production/company_list"}
    )
    assert page.status_code == 422
    assert "is not available in this environment" in page_text(page)
    assert "Enter the client secret" in page_text(page)
    client.post(PAGE, NEW)
    assert "already registered" in page_text(client.post(PAGE, NEW))


def test_the_retired_way_is_offered_in_the_sandbox_alone_and_says_so(actor: Any, sandbox: Sandbox) -> None:
    page = page_text(browser(actor("administrator"), sandbox).get(PAGE))
    assert 'value="visma_net/sandbox/company_list"' in page
    assert 'value="visma_net/production/company_list"' not in page
    assert "Visma retired this in 2025" in page


def test_only_an_unused_app_is_removed_and_its_secret_goes_with_it(
    actor: Any, connected: MakeConnected
) -> None:
    anna = actor("administrator")
    firm = connected(actor=anna)
    client = browser(anna, firm.sandbox)
    with installation_scope("test set-up"):
        AppRegistration.objects.update(organisation_id=anna.organisation_id)
    assert "Connections use this app" in page_text(client.post(f"{PAGE}{firm.app.pk}/remove", follow=True))
    client.post(PAGE, NEW)
    with organisation_scope(anna.organisation_id):
        unused = AppRegistration.objects.get(client_id=CLIENTS["service"])
    client.post(f"{PAGE}{unused.pk}/remove")
    with organisation_scope(anna.organisation_id):
        unused.refresh_from_db()
        assert (bytes(unused.client_secret), unused.removed_at is not None) == (b"", True)
    assert CLIENTS["service"] not in page_text(client.get(PAGE))


def test_an_app_of_the_installation_is_shown_but_not_changed(actor: Any, sandbox: Sandbox) -> None:
    app = register_app(sandbox)
    client = browser(actor("administrator"), sandbox)
    assert "Managed by the operator" in page_text(client.get(PAGE))
    for action in ("change", "remove"):
        assert client.post(f"{PAGE}{app.pk}/{action}", {"client_id": "x"}).status_code == 404


@pytest.mark.parametrize("role", ["team_leader", "user_plus", "user", "reader"])
def test_app_registrations_are_for_administrators(actor: Any, sandbox: Sandbox, role: str) -> None:
    anna = actor("administrator")
    with organisation_scope(anna.organisation_id):
        firm = Organisation.objects.get(pk=anna.organisation_id)
    assert browser(actor(role, organisation=firm), sandbox).get(PAGE).status_code == 403


def test_an_app_of_another_organisation_does_not_exist(actor: Any, sandbox: Sandbox) -> None:
    anna, eve = actor("administrator"), actor("administrator")
    browser(anna, sandbox).post(PAGE, NEW)
    assert browser(eve, sandbox).post(f"{PAGE}{own_app(anna).pk}/test").status_code == 404
