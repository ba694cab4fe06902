"""In quarantine, outgoing work is refused with one sentence on every interface."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from koppel.audit.models import AuditEntry
from koppel.cli.checks.connectivity import check_mail as mail_finding
from koppel.cli.checks.connectivity import send_test_mail
from koppel.cli.checks.installation import run_checks
from koppel.connections.models import ConsentPurpose
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import encrypt_column
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import IdentityProvider, User
from koppel.organisations.roles import Role
from koppel.web.permission_matrix import routes
from tests.fixtures.people import signed_in
from tests.fixtures.readiness import readiness_now
from tests.fixtures.stack import MakeConnected
from tests.notifications.smtp import MailServer, serve
from tests.quarantine.switch import koppel_quarantine
from tests.web.factories import World, build_world
from tests.web.test_permissions import RouteProbe

SENTENCE = {"en": "koppel quarantine off", "nl": "heft de quarantaine op de server op"}
NOT_PAGES = re.compile(r"/(api/v1/|language)|export|\.(csv|json)|/(rows|search|sectors)(/|$)")


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


@pytest.fixture
def quarantined(world: World) -> World:
    """A firm in the middle of its work, in an installation that its operator has just put into quarantine."""
    koppel_quarantine("on")
    return world


def provider_of(world: World) -> int:
    """An identity provider of the firm that nobody answers for."""
    firm = world.admin.organisation_id
    with organisation_scope(firm):
        provider = IdentityProvider(
            organisation_id=firm,
            name="Inlog",
            issuer="http://127.0.0.1:9",
            client_id="koppel",
            is_active=True,
        )
        provider.save()
        provider.client_secret = encrypt_column(provider, "client_secret", Secret("secret"))
        provider.save()
        return provider.pk


@pytest.mark.parametrize("language", ["en", "nl"])
def test_pages_explain_the_quarantine_and_who_ends_it(quarantined: World, language: str) -> None:
    administration, client = quarantined.active, quarantined.client("administrator", language)
    acts = [
        reverse("sync:now", args=[administration.pk]),
        reverse("connections:probe", args=[administration.connection_id]),
        reverse("connections:reconnect", args=[administration.connection_id]),
        reverse("administrations:check_register", args=[administration.pk]),
    ]
    forms: list[tuple[str, dict[str, Any]]] = [(act, {}) for act in acts]
    forms.append(("/connections/new/", {"connector": "visma_net"}))
    forms.append((f"/organisation/webhooks/{quarantined.webhook_id}/test", {}))
    for address, form in forms:
        answer = client.post(address, form)
        assert answer.status_code == 503, address
        assert SENTENCE[language] in main_of(answer), address


def main_of(answer: Any) -> str:
    """The page without its banner."""
    return re.sub(
        r'<p class="banner banner-warn quarantine".*?</p>', "", answer.content.decode(), flags=re.DOTALL
    )


@pytest.mark.parametrize("language", ["en", "nl"])
def test_single_sign_on_and_password_reset_explain_the_quarantine(quarantined: World, language: str) -> None:
    provider = provider_of(quarantined)
    visitor = Client()
    visitor.cookies["koppel_language"] = language
    email = User.objects.get(pk=quarantined.admin.user_id).email
    for answer in (
        visitor.get(f"/sign-in/{provider}/"),
        visitor.post(f"/sign-in/{provider}/"),
        visitor.get(f"/sign-in/{provider}/callback", {"state": "of-a-tab", "code": "of-before"}),
        visitor.post("/accounts/password/reset/", {"email": email}),
        visitor.post("/accounts/password/reset/", {"email": "nobody@example.test"}),
    ):
        assert answer.status_code == 503
        assert SENTENCE[language] in main_of(answer)
    assert mail.outbox == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/administrations/{administration}/sync", {}),
        ("/connections/{connection}/test", {}),
        ("/connections/{connection}/reconnect", {}),
        ("/onboarding/flows", {"system": "visma_net"}),
        ("/onboarding/flows", {"connection": "{connection}"}),
        ("/webhooks/{webhook}/test", {}),
        ("/webhooks/{webhook}/deliveries/redeliver", {}),
    ],
)
def test_a_program_gets_a_code_and_a_sentence(quarantined: World, path: str, body: dict[str, Any]) -> None:
    ids = {
        "administration": quarantined.active.pk,
        "connection": quarantined.active.connection_id,
        "webhook": quarantined.webhook_id,
    }
    payload = json.dumps(body).replace('"{connection}"', str(ids["connection"]))
    address = f"/api/v1{path.format(**ids)}"
    answer = quarantined.client("administrator").post(address, payload, content_type="application/json")
    assert answer.status_code == 503, answer.content
    assert answer.json()["error"] == "quarantined"
    assert "koppel quarantine off" in answer.json()["message"]


@pytest.mark.parametrize(
    "words",
    [
        "sync start {administration}",
        "connections test {connection}",
        "connections reconnect {connection}",
        "webhooks test {webhook}",
    ],
)
def test_a_command_ends_with_one_sentence(quarantined: World, words: str) -> None:
    ids = {
        "administration": quarantined.active.pk,
        "connection": quarantined.active.connection_id,
        "webhook": quarantined.webhook_id,
    }
    email = User.objects.get(pk=quarantined.admin.user_id).email
    command = [sys.executable, "-m", "koppel.cli", *words.format(**ids).split(), "--as", email]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("Koppel is in quarantine")
    assert "Traceback" not in done.stderr


def test_a_sign_in_that_was_begun_before_is_finished_after(connected: MakeConnected) -> None:
    firm = connected()
    from koppel.connections.consent.attempts import (
        begin_attempt,
        complete_attempt,
        store_authorisation_response,
    )

    with organisation_scope(firm.actor.organisation_id):
        address = begin_attempt(firm.actor, firm.app.pk, ConsentPurpose.CONNECT, "/connections/")
    authorisation_response = firm.sandbox.sign_in(address)
    koppel_quarantine("on")
    firm.sandbox.forget_calls()
    attempt = store_authorisation_response(authorisation_response)
    assert attempt is not None
    with pytest.raises(Quarantined):
        complete_attempt(firm.actor, attempt)
    assert firm.sandbox.calls() == []
    koppel_quarantine("off")
    assert complete_attempt(firm.actor, attempt).connection_id


@pytest.mark.parametrize("language", ["en", "nl"])
def test_every_page_shows_the_quarantine_banner(quarantined: World, language: str) -> None:
    looked_at = 0
    doors = RouteProbe(quarantined)
    for route in sorted(one for one in routes() if one.method == "GET" and not NOT_PAGES.search(one.path)):
        for who in (None, *(quarantined.people[role] for role in Role.values)):
            answer = doors.request(who, route)
            if not answer.headers.get("Content-Type", "").startswith("text/html") or answer.status_code in (
                301,
                302,
            ):
                continue
            if "<html" in answer.text_read:
                assert "quarantine" in answer.text_read.lower(), route.path
                assert "koppel quarantine off" in answer.text_read, route.path
                looked_at += 1
    assert looked_at > 200
    visitor = Client(raise_request_exception=False)
    visitor.cookies["koppel_language"] = language
    for address in ("/nowhere/", "/accounts/login/"):
        assert "koppel quarantine off" in visitor.get(address).content.decode()
    unreadable = quarantined.client("reader", language).get(
        f"/administrations/{quarantined.active.pk}/books/?q=%00"
    )
    assert (unreadable.status_code, "koppel quarantine off" in unreadable.content.decode()) == (422, True)
    elsewhere = visitor.get("/accounts/login/", headers={"host": "elsewhere.example"})
    assert (elsewhere.status_code, "koppel quarantine off" in elsewhere.content.decode()) == (400, True)
    forged = Client(enforce_csrf_checks=True).post("/accounts/login/", {})
    assert (forged.status_code, "koppel quarantine off" in forged.content.decode()) == (403, True)


def test_error_pages_show_the_quarantine_banner(quarantined: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("koppel.web.views.load_dashboard", broken)
    client = quarantined.client("administrator")
    client.raise_request_exception = False
    answer = client.get("/")
    assert answer.status_code == 500
    assert "koppel quarantine off" in answer.content.decode()


def test_no_page_shows_the_banner_outside_a_quarantine(world: World) -> None:
    client = world.client("administrator")
    assert "quarantine" not in client.get("/").content.decode()
    koppel_quarantine("on")
    assert "quarantine" in client.get("/").content.decode()
    koppel_quarantine("off")
    assert "quarantine" not in client.get("/").content.decode()


def test_the_health_check_passes_and_reports_the_quarantine(quarantined: World) -> None:
    assert readiness_now().content == {"status": "ok", "quarantined": True}
    koppel_quarantine("off")
    assert readiness_now().content == {"status": "ok", "quarantined": False}


def test_check_reports_the_quarantine_and_makes_no_calls(
    quarantined: World, settings: Any, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    server = MailServer()
    stop = serve(server)
    monkeypatch.setenv(
        "KOPPEL_PUBLIC_URL", f"https://127.0.0.2:{server.port}"
    )  # a copy has the original's address
    settings.EMAIL_BACKEND, settings.SENDS_MAIL = "koppel.kit.quarantine.email_backends.SmtpBackend", True
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    server.answers = {"MAIL": [None]}
    try:
        by_topic = {finding.topic: finding for finding in run_checks(server.port)}
        tried = send_test_mail("anna@example.test")
    finally:
        stop()
    assert by_topic["quarantine"].is_ok
    assert "koppel quarantine off" in by_topic["quarantine"].text
    assert "not tried" in by_topic["mail"].text
    assert "not tried" in by_topic["public address"].text
    assert not tried.is_ok
    assert "quarantine" in tried.text
    assert server.accepted == []
    assert "quarantine" in mail_finding().text


def test_begin_and_end_of_a_quarantine_are_audited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "olga")
    assert koppel_quarantine("status")["quarantine"] == "off"
    on = koppel_quarantine("on")
    assert (on["quarantine"], on["by"], on["changed"]) == ("on", "olga", True)
    assert koppel_quarantine("on")["changed"] is False
    assert koppel_quarantine("off")["changed"] is True
    assert koppel_quarantine("off")["changed"] is False
    with organisation_scope(world.admin.organisation_id):
        entries = AuditEntry.objects.filter(action__startswith="quarantine.").order_by("pk")
        assert [(entry.action, entry.actor_name, entry.interface) for entry in entries] == [
            ("quarantine.started", "olga", "cli"),
            ("quarantine.ended", "olga", "cli"),
        ]


def test_mail_is_not_written_to_files_either(quarantined: World, settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = (
        "koppel.kit.quarantine.email_backends.FileBackend",
        str(tmp_path),
    )
    with pytest.raises(Quarantined):
        mail.send_mail("Subject", "Text", None, ["anna@example.test"])
    assert list(tmp_path.iterdir()) == []


def test_bulk_actions_explain_why_no_sync_starts(quarantined: World) -> None:
    client = signed_in(quarantined.admin)
    draft = client.post("/administrations/bulk/preview", {"action": "sync", "id": [quarantined.active.pk]})
    assert "koppel quarantine off" in main_of(client.get(draft.headers["Location"]))
