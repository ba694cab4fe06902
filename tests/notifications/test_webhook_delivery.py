"""Messages of webhooks are retried with pauses, in order, and a webhook that fails for days is disabled."""

import asyncio
import os
import signal
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import WebhookDelivery, WebhookEndpoint
from koppel.notifications.tasks import run_maintenance
from koppel.notifications.webhooks import delivery
from koppel.organisations.roles import Actor
from tests.fixtures.stack import PATIENCE_SECONDS, run_worker, wait_until
from tests.notifications.factories import (
    NEWS,
    close_test_event,
    open_test_event,
    screen_messages,
)
from tests.notifications.receiver import Receiver
from tests.notifications.webhook_steps import API, anna, browser, create_webhook, log, make_due, program, send

__all__ = ["anna", "browser", "program"]

PATIENT = "from koppel.notifications.webhooks import delivery; delivery.TIMEOUT_SECONDS = 600"
"""A worker that never gives a program up, however long this process takes to kill it."""


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
