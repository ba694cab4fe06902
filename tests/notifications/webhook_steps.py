"""Steps of the tests of webhooks: create one, send what waits, read its log."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.kit.jobs.outbox import deliver_due
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks import delivery
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.organisations.roles import Actor
from tests.fixtures.people import signed_in
from tests.notifications.receiver import Receiver, run_receiver

API = "/api/v1/webhooks"


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
