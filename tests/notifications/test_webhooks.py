"""Webhooks: signed, retried, never sent to private addresses or about restricted administrations."""

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.vault.key_rotation import rotate_keys
from koppel.kit.http.egress import EgressPolicy
from koppel.kit.jobs.outbox import deliver_due
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.commands import app
from koppel.notifications.models import WebhookDelivery, WebhookEndpoint
from koppel.notifications.tasks import run_maintenance
from koppel.notifications.webhooks import delivery
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.organisations.models import Division, User
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of
from tests.fixtures.confirmation import post_and_confirm
from tests.fixtures.people import signed_in
from tests.fixtures.stack import PATIENCE_SECONDS, run_worker, wait_until
from tests.notifications.factories import (
    NEWS,
    TROUBLE,
    close_test_event,
    open_test_event,
    pass_quarter_hour,
    screen_messages,
)
from tests.notifications.receiver import Receiver, is_signed_with, run_receiver
from tests.vault.test_key_rotation import OLD, key

API = "/api/v1/webhooks"
PATIENT = "from koppel.notifications.webhooks import delivery; delivery.TIMEOUT_SECONDS = 600"
"""A worker that never gives a program up, however long this process takes to kill it."""


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


@pytest.fixture
def program(settings: Any) -> Iterator[Receiver]:
    """In a network of the firm's own that its operator named."""
    settings.WEBHOOK_NETWORKS = (ip_network("127.0.0.0/8"),)
    with run_receiver() as receiver:
        yield receiver


def create_webhook(browser: Client, url: str, *events: str) -> dict[str, Any]:
    payload = {"name": "Tickets", "url": url, "events": list(events)}
    answer = browser.post(API, payload, content_type="application/json")
    assert answer.status_code == 201, answer.content
    return answer.json()  # type: ignore[no-any-return]


def send(anna: Actor) -> int:
    with organisation_scope(anna.organisation_id):
        webhook_ids = list(WebhookEndpoint.objects.order_by("pk").values_list("pk", flat=True))
    lanes = [
        {"organisation_id": anna.organisation_id, "webhook_id": webhook_id} for webhook_id in webhook_ids
    ]
    return sum(asyncio.run(deliver_due(WEBHOOK_OUTBOX, lane, delivery.deliver)) for lane in lanes)


def log(browser: Client, webhook: int) -> list[dict[str, Any]]:
    """The oldest first."""
    return browser.get(f"{API}/{webhook}/deliveries").json()[::-1]  # type: ignore[no-any-return]


def make_due(anna: Actor, **failing: timedelta) -> None:
    """As if the pauses were over; and as if it had been failing for so long."""
    with organisation_scope(anna.organisation_id):
        past = timezone.now() - timedelta(hours=1)
        WebhookDelivery.objects.filter(state="waiting").update(due_at=past)
        WebhookDelivery.objects.filter(state="claimed").update(leased_until=past)
        WebhookEndpoint.objects.update(paused_until=None)
        if failing:
            WebhookEndpoint.objects.update(failing_since=timezone.now() - failing["since"])


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


def test_a_refused_message_is_retried_with_growing_pauses(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    created = create_webhook(browser, program.url)
    program.answers = [
        (500, {}),
        (302, {"Location": "http://127.0.0.1/elsewhere"}),
        (429, {"Retry-After": "7200"}),
    ]
    open_test_event(anna, NEWS, context={"name": "x"})
    for minutes in (1, 5, 120):
        before, pause = timezone.now(), timedelta(minutes=minutes)
        assert send(anna) == 0
        with organisation_scope(anna.organisation_id):
            assert before + pause <= WebhookDelivery.objects.get().due_at <= timezone.now() + pause
        assert send(anna) == 0, "not before its time"
        make_due(anna)
    assert send(anna) == 1
    (entry,) = log(browser, created["id"])
    assert (entry["state"], entry["attempts"], entry["response_status"], entry["reason"]) == (
        "sent",
        4,
        200,
        "",
    )
    assert len({got["headers"]["webhook-id"] for got in program.got}) == 1
    assert len({got["body"] for got in program.got}) == 1


def test_a_webhook_failing_for_days_is_disabled_and_its_creator_notified(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    created = create_webhook(browser, program.url)
    program.answers = [(500, {})] * 3
    open_test_event(anna, NEWS, "one", context={"name": "x"})
    send(anna)
    make_due(anna, since=timedelta(days=2))
    send(anna)
    assert screen_messages(anna) == ["News of x"]
    make_due(anna, since=timedelta(days=4))
    send(anna)
    assert screen_messages(anna)[1:] == [
        "The webhook Tickets was switched off. No message was accepted for three days."
    ]
    (hook,) = browser.get(API).json()
    assert (hook["enabled"], hook["disabled_reason"]) == (False, "unresponsive")
    open_test_event(anna, NEWS, "two", context={"name": "missed"})
    assert send(anna) == 0
    assert [one["state"] for one in log(browser, created["id"])] == ["failed"]
    assert (
        browser.post(
            f"{API}/{created['id']}/deliveries/redeliver", {}, content_type="application/json"
        ).status_code
        == 409
    )
    browser.post(f"{API}/{created['id']}/enable")
    second_response = browser.post(
        f"{API}/{created['id']}/deliveries/redeliver", {}, content_type="application/json"
    ).json()
    assert (second_response, send(anna)) == ({"count": 1}, 1)
    with organisation_scope(anna.organisation_id):
        acts = set(AuditEntry.objects.filter(subject_kind="webhook").values_list("action", "actor_kind"))
    assert acts == {
        ("webhook.created", "person"),
        ("webhook.auto_disabled", "job"),
        ("webhook.enabled", "person"),
        ("webhook.redelivered", "person"),
    }


def test_a_webhook_answering_410_is_disabled_at_once(anna: Actor, browser: Client, program: Receiver) -> None:
    create_webhook(browser, program.url)
    program.answers = [(410, {})]
    open_test_event(anna, NEWS)
    send(anna)
    assert browser.get(API).json()[0]["disabled_reason"] == "gone"


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:1/",
        "https://[::1]/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
    ],
)
def test_an_internal_address_is_not_called(anna: Actor, browser: Client, url: str) -> None:
    """By number, by name, and by ways to write a number that only the system's own look-up understands."""
    answer = browser.post(API, {"name": "x", "url": url}, content_type="application/json")
    if answer.status_code == 409:
        return
    open_test_event(anna, NEWS)
    assert send(anna) == 0
    (entry,) = log(browser, answer.json()["id"])
    assert (entry["state"], entry["reason"], entry["response_status"]) == (
        "waiting",
        "address_not_allowed",
        None,
    )


def test_only_the_networks_that_were_named_are_within_reach() -> None:
    guard = EgressPolicy((ip_network("10.1.0.0/16"), ip_network("fd00::/8")))
    reached = ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3", "93.184.216.34", "2606:4700::1111"]
    not_reached = [
        "10.2.0.1",
        "::ffff:10.2.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "100.64.0.1",
        "224.0.0.1",
        "fe80::1%eth0",
    ]
    assert [one for one in reached + not_reached if guard.allows(one)] == reached
    assert not EgressPolicy((ip_network("10.1.0.0/16"),), public=False).allows("93.184.216.34")


def test_an_address_without_encryption_is_for_named_networks_alone(browser: Client, settings: Any) -> None:
    for url in (
        "http://example.com/",
        "ftp://example.com",
        "https://a:b@example.com/",
        "https://exämple.com/",
        "",
    ):
        answer = browser.post(API, {"name": "x", "url": url}, content_type="application/json")
        assert answer.status_code == 409, url
    settings.WEBHOOK_NETWORKS = (ip_network("10.0.0.0/8"),)
    assert create_webhook(browser, "http://10.0.0.9/hook")["enabled"]


def test_a_network_may_be_of_one_organisation(
    anna: Actor, program: Receiver, browser: Client, settings: Any
) -> None:
    created = create_webhook(browser, program.url)
    settings.WEBHOOK_NETWORKS = ()
    for organisation_id, reaches in ((anna.organisation_id + 1, False), (anna.organisation_id, True)):
        settings.ORGANISATION_WEBHOOK_NETWORKS = {organisation_id: (ip_network("127.0.0.0/8"),)}
        browser.post(f"{API}/{created['id']}/test")
        make_due(anna)
        send(anna)
        assert bool(program.got) == reaches


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


def test_a_killed_worker_costs_a_second_delivery_at_most(
    anna: Actor, browser: Client, program: Receiver, database_addresses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.holds = threading.Event()
    monkeypatch.setenv("KOPPEL_WEBHOOK_NETWORKS", "127.0.0.0/8")
    created = create_webhook(browser, program.url)
    with run_worker(database_addresses.superuser_url, first=PATIENT) as worker:
        browser.post(f"{API}/{created['id']}/test")
        assert program.received.wait(PATIENCE_SECONDS)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    program.holds.set()
    assert [one["state"] for one in log(browser, created["id"])] == ["claimed"]
    make_due(anna)
    asyncio.run(run_maintenance(timestamp=0))
    with run_worker(database_addresses.superuser_url):
        wait_until(lambda: [one["state"] for one in log(browser, created["id"])] == ["sent"])
    assert len(program.got) == 2
    assert len({one["headers"]["webhook-id"] for one in program.got}) == 1


def test_what_waits_for_a_webhook_that_just_failed_waits_with_it(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    create_webhook(browser, program.url)
    program.answers = [(500, {})] * 8
    for number in range(20):
        open_test_event(anna, NEWS, str(number))
    assert send(anna) == 0
    assert len(program.got) == 8


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


def test_what_is_on_its_way_when_it_is_switched_off_fails_and_waits_for_nothing(
    anna: Actor, browser: Client, program: Receiver, monkeypatch: Any
) -> None:
    created = create_webhook(browser, program.url)
    open_test_event(anna, NEWS, context={"name": "x"})
    program.answers = [(500, {})]
    original_secrets_in_use = delivery.secrets_in_use

    def switched_off(webhook: WebhookEndpoint) -> Any:
        browser.post(f"{API}/{created['id']}/disable")
        return original_secrets_in_use(webhook)

    monkeypatch.setattr(delivery, "secrets_in_use", switched_off)
    send(anna)
    assert [(one["state"], one["reason"]) for one in log(browser, created["id"])] == [("failed", "disabled")]
    assert browser.get(f"{API}").json()[0]["failing_since"] is None


def test_the_begin_of_an_event_does_not_arrive_after_its_end(
    anna: Actor, browser: Client, program: Receiver, monkeypatch: Any
) -> None:
    create_webhook(browser, program.url)
    open_test_event(anna, "test_worse", context={"account": "x"})
    program.answers = [(500, {})]
    original_secrets_in_use = delivery.secrets_in_use

    def ends(webhook: WebhookEndpoint) -> Any:
        monkeypatch.setattr(delivery, "secrets_in_use", original_secrets_in_use)
        close_test_event(anna, "test_worse")
        return original_secrets_in_use(webhook)

    monkeypatch.setattr(delivery, "secrets_in_use", ends)
    for _ in range(3):
        make_due(anna)
        send(anna)
    assert [one["state"] for one in program.messages()] == ["opened", "closed"]


def test_an_address_that_cannot_be_called_is_refused_and_keeps_no_other_from_its_messages(
    anna: Actor, browser: Client, program: Receiver
) -> None:
    payload = {"name": "Tickets", "url": "http://127.0.0.1:99999/hook"}
    assert browser.post(API, payload, content_type="application/json").status_code == 409
    broken, good = create_webhook(browser, program.url), create_webhook(browser, program.url)
    with organisation_scope(anna.organisation_id):
        WebhookEndpoint.objects.filter(pk=broken["id"]).update(url=payload["url"])
    open_test_event(anna, NEWS, context={"name": "x"})
    assert send(anna) == 1
    assert [one["state"] for one in log(browser, good["id"])] == ["sent"]
    assert [(one["state"], one["reason"]) for one in log(browser, broken["id"])] == [
        ("waiting", "not_connected")
    ]
