"""Webhooks: which events they receive, and how people create, test and remove them."""

import json
import time
from typing import Any

from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from koppel.administrations.models import Administration
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.vault.key_rotation import rotate_keys
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.commands import app
from koppel.notifications.models import WebhookEndpoint
from koppel.organisations.models import Division, User
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of
from tests.fixtures.confirmation import post_and_confirm
from tests.notifications.factories import (
    NEWS,
    TROUBLE,
    close_test_event,
    open_test_event,
    pass_quarter_hour,
)
from tests.notifications.receiver import Receiver, is_signed_with
from tests.notifications.webhook_steps import API, anna, browser, create_webhook, log, program, send
from tests.vault.test_key_rotation import OLD, key

__all__ = ["anna", "browser", "program"]


def test_a_webhook_receives_begin_and_end_of_an_event(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    created = create_webhook(browser, program.url, TROUBLE)
    open_test_event(anna, NEWS, context={"name": "not asked for"})
    open_test_event(
        anna, TROUBLE, context={"name": "x", "reason": "Closed"}, subject=Subject(SubjectKind.CONNECTION, 1)
    )
    pass_quarter_hour(anna)
    assert send(anna) == 1
    close_test_event(anna, TROUBLE)
    assert send(anna) == 1
    began, over = program.messages()
    assert (began["type"], began["state"], over["state"]) == (TROUBLE, "opened", "closed")
    assert began["message"] == {"en": "Trouble at x: Closed", "nl": "Trouble at x: Afgesloten"}
    assert (began["link"], began["subject"]) == (
        "http://localhost:8400/issues/",
        {"kind": "connection", "id": 1},
    )
    assert began["opened_at"] == over["opened_at"]
    for got, message in zip(program.got, (began, over), strict=True):
        assert is_signed_with(created["secret"], got)
        assert got["headers"]["webhook-id"] == message["id"]
        assert abs(int(got["headers"]["webhook-timestamp"]) - time.time()) < 60
    assert [
        (entry["state"], entry["response_status"], entry["is_closing"])
        for entry in log(browser, created["id"])
    ] == [
        ("sent", 200, False),
        ("sent", 200, True),
    ]


def test_a_recovered_failure_is_not_sent_to_a_webhook(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    created = create_webhook(browser, program.url)
    open_test_event(anna, TROUBLE)
    close_test_event(anna, TROUBLE)
    open_test_event(anna, "test_worse", context={"account": "x"})
    close_test_event(anna, "test_worse")
    assert send(anna) == 0
    assert program.got == []
    assert [(one["state"], one["reason"]) for one in log(browser, created["id"])] == [
        ("dropped", "recovered")
    ]


def test_restricted_administrations_are_not_sent_to_webhooks(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    create_webhook(browser, program.url)
    hidden, visible = administration_of(anna, "Hidden", restricted=True), administration_of(anna, "Shown")
    both = {one.pk: {"name": one.name, "reason": f"reason of {one.name}"} for one in (hidden, visible)}
    open_test_event(anna, NEWS, "both", administrations=both)
    open_test_event(
        anna,
        NEWS,
        "hidden",
        administrations={hidden.pk: {"name": "Hidden"}},
        subject=Subject(SubjectKind.ADMINISTRATION, hidden.pk),
    )
    assert send(anna) == 1
    assert b"Hidden" not in program.got[0]["body"]
    (message,) = program.messages()
    assert message["message"]["en"] == "News of Shown"
    assert message["administrations"] == [{"id": visible.pk, "name": "Shown", "reason": "reason of Shown"}]


def test_a_webhook_of_a_division_hears_of_its_administrations_alone(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    with organisation_scope(anna.organisation_id):
        tenant_keys = {"organisation_id": anna.organisation_id}
        south, north = (Division.objects.create(**tenant_keys, name=name) for name in ("Zuid", "Noord"))
    payload = {"name": "South", "url": program.url, "divisions": [south.pk]}
    created = browser.post(API, payload, content_type="application/json").json()
    assert created["divisions"] == [south.pk]
    first_id, second_id = (
        administration_of(anna, "Here", division=south),
        administration_of(anna, "There", division=north),
    )
    both = {one.pk: {"name": one.name} for one in (first_id, second_id)}
    open_test_event(anna, NEWS, "both", administrations=both)
    open_test_event(anna, NEWS, "there", administrations={second_id.pk: {"name": "There"}})
    open_test_event(anna, NEWS, "nowhere", context={"name": "the firm"})
    assert send(anna) == 1
    close_test_event(anna, NEWS, "both")
    assert send(anna) == 1
    assert b"There" not in program.got[0]["body"] + program.got[1]["body"]
    assert [one["state"] for one in program.messages()] == ["opened", "closed"]
    open_test_event(anna, NEWS, "moves", administrations={first_id.pk: {"name": "Here"}})
    assert send(anna) == 1
    with organisation_scope(anna.organisation_id):
        Administration.objects.filter(pk=first_id.pk).update(division=north)
    close_test_event(anna, NEWS, "moves")
    assert send(anna) == 1
    assert program.messages()[-1]["state"] == "closed", "Who was told that it began is told that it is over."
    post_and_confirm(browser, f"/organisation/divisions/{south.pk}/merge", {"into": north.pk})
    assert browser.get(API).json()[0]["divisions"] == [north.pk], (
        "Merged, it is for the other one, never for all."
    )


def test_some_divisions_are_never_taken_for_all(anna: Actor, browser: Client) -> None:
    with organisation_scope(anna.organisation_id):
        Division.objects.create(organisation_id=anna.organisation_id, name="Zuid")
    form = {"name": "x", "url": "https://example.test/hook"}
    page = browser.post("/organisation/webhooks/", {**form, "where": "some"})
    assert "Choose at least one division" in page.content.decode()
    answer = browser.post(API, {**form, "divisions": [987654]}, content_type="application/json")
    assert (answer.status_code, browser.get(API).json()) == (409, [])


def test_sign_ins_are_not_sent_to_webhooks(anna: Actor, browser: Client, program: Receiver) -> None:
    create_webhook(browser, program.url)
    refused = browser.post(
        API, {"name": "x", "url": program.url, "events": ["new_sign_in"]}, content_type="application/json"
    )
    assert (refused.status_code, refused.json()["error"]) == (409, "refused")
    open_test_event(anna, "new_sign_in", context={"browser": "x", "address": "192.0.2.1"})
    assert send(anna) == 0


def test_the_secret_is_shown_once_sealed_renewed_and_rotated(
    anna: Actor, browser: Client, program: Receiver, settings: Any
) -> None:
    old = create_webhook(browser, program.url)
    assert "secret" not in browser.get(API).json()[0]
    with organisation_scope(anna.organisation_id):
        assert old["secret"].encode() not in bytes(WebhookEndpoint.objects.get().secret)
    fresh = browser.post(f"{API}/{old['id']}/secret").json()["secret"]
    settings.VAULT_KEYS = f"{key('new')},{OLD}"
    assert rotate_keys("operator").reencrypted == 2
    settings.VAULT_KEYS = key("new")
    open_test_event(anna, NEWS)
    send(anna)
    assert is_signed_with(old["secret"], program.got[0])
    assert is_signed_with(fresh, program.got[0])
    with organisation_scope(anna.organisation_id):
        WebhookEndpoint.objects.update(previous_until=timezone.now())
    open_test_event(anna, NEWS, "two")
    send(anna)
    assert not is_signed_with(old["secret"], program.got[1])
    assert is_signed_with(fresh, program.got[1])


def test_the_pages_make_test_and_remove_a_webhook(anna: Actor, browser: Client, program: Receiver) -> None:
    page = browser.post(
        "/organisation/webhooks/", {"name": "Chat", "url": program.url, "which": "some", "events": [NEWS]}
    )
    text = page.content.decode()
    secret = text.split('id="secret-text" value="')[1].split('"')[0]
    assert page.headers["Cache-Control"] == "no-store"
    hook = browser.get(API).json()[0]["id"]
    address = f"/organisation/webhooks/{hook}/"
    assert secret not in browser.get(address).content.decode()
    program.answers = [(500, {})]
    browser.post(f"{address}test")
    assert "Sending" in browser.get(f"{address}log").content.decode()
    send(anna)
    log_text = browser.get(f"{address}log").content.decode()
    assert "500 The message was not accepted." in log_text
    assert "no &lt;b&gt;thanks&lt;/b&gt;" in log_text
    assert is_signed_with(secret, program.got[0])
    browser.post(f"{address}disable")
    assert "Webhook switched off." in browser.get(f"{address}?state=failed").content.decode()
    browser.post(f"{address}enable")
    assert "Resending 1 message." in browser.post(f"{address}redeliver", follow=True).content.decode()
    assert send(anna) == 1
    renewed = browser.post(f"{address}secret").content.decode()
    assert renewed.split('id="secret-text" value="')[1].split('"')[0] not in ("", secret)
    assert "removed." in browser.post(f"{address}remove", follow=True).content.decode()
    assert browser.get(address).status_code == 404


def test_a_refused_webhook_of_some_events_is_not_shown_as_one_of_all(anna: Actor, browser: Client) -> None:
    """Who meant some events and ticked none must not make one of all by pressing the button again."""
    form = {"name": "Chat", "url": "https://chat.example.test/", "which": "some", "where": "some"}
    page = browser.post("/organisation/webhooks/", form).content.decode()
    assert "Choose at least one event, or all events." in page
    for name in ("which", "where"):
        assert f'name="{name}" value="some" checked' in page or f'name="{name}"' not in page
        assert f'name="{name}" value="all" checked' not in page
    with organisation_scope(anna.organisation_id):
        assert not WebhookEndpoint.objects.exists()


def test_webhooks_are_managed_from_the_command_line(anna: Actor, program: Receiver) -> None:
    def koppel(*words: str) -> Any:
        email = User.objects.get(pk=anna.user_id).email
        outcome = CliRunner().invoke(app, [*words, "--as", email, "--json"])
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout.splitlines()[-1])

    created = koppel("create", "Tickets", program.url, "--event", NEWS)
    assert created["secret"].startswith("whsec_")
    assert koppel("list")[0]["events"] == [NEWS]
    hook = str(created["id"])
    program.answers = [(410, {})]
    message = koppel("test", hook)["message"]
    send(anna)
    assert program.got[0]["headers"]["webhook-id"] == message
    assert koppel("enable", hook)["enabled"]
    assert koppel("redeliver", hook) == {"webhook": created["id"], "sent_again": 1}
    assert [(one["state"], one["reason"]) for one in koppel("deliveries", hook)] == [("waiting", "")]
    assert koppel("rotate-secret", hook)["secret"] != created["secret"]
    assert koppel("delete", hook)["deleted"]
    assert koppel("list") == []
