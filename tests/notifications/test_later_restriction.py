"""What was notified before an administration was restricted, or a person unassigned, names it no more."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.mail import EmailMessage
from django.utils import timezone

from koppel.administrations.models import Administration, Assignment
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.models import DeliverySettings, EmailDelivery, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.delivery_log import list_deliveries
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor
from koppel.sync.event_types import SyncEvent
from tests.administrations.factories import restrict
from tests.books.factories import administration_of, assign
from tests.fixtures.people import signed_in
from tests.notifications.factories import NEWS, mails, open_test_event, set_preferences
from tests.notifications.test_email import make_due, send

SECRET = "Aannemers, Zorg B.V."


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def piet(anna: Actor, actor: Any) -> Actor:
    with organisation_scope(anna.organisation_id):
        firm = Organisation.objects.get(pk=anna.organisation_id)
    return actor("user", organisation=firm, name="Piet")  # type: ignore[no-any-return]


def rest_messages(person: Actor) -> list[str]:
    answer = signed_in(person).get("/api/v1/notifications").json()
    return [item["message"] for item in answer["items"]]


def open_about(anna: Actor, *affected: Administration, key: str = "one", event: Any = NEWS) -> None:
    counts = {"total": 1, "active": 1, "others": 0}
    facts = {administration.pk: {"name": administration.name, **counts} for administration in affected}
    open_test_event(anna, event, key, administrations=facts)


def test_a_restricted_client_leaves_notices_and_waiting_mails(
    anna: Actor, piet: Actor, mailoutbox: list[EmailMessage]
) -> None:
    secret, other = administration_of(anna, SECRET), administration_of(anna, "Bakkerij B.V.")
    for administration in (secret, other):
        assign(piet, administration)
    with organisation_scope(anna.organisation_id):
        DeliverySettings.objects.create(
            organisation_id=anna.organisation_id, membership_id=piet.membership_id, digest=True
        )
    for event in (NEWS, SyncEvent.IMPORT_FINISHED):
        set_preferences(piet, event, screen="all", email="all")
    open_about(anna, secret)
    open_about(anna, secret, other, key="two")
    open_about(anna, secret, other, key="import", event=SyncEvent.IMPORT_FINISHED)
    assert [SECRET in text for text in rest_messages(piet)].count(True) == 2
    assert "2 administrations" in rest_messages(piet)[0]
    with organisation_scope(anna.organisation_id):
        restrict(anna, secret.pk, [anna.membership_id])
    messages = rest_messages(piet)
    assert len(messages) == 2
    assert "Bakkerij B.V." in messages[1]
    assert SECRET not in json.dumps(messages)
    assert "1 administration " in messages[0], "it is not counted either"
    assert SECRET not in signed_in(piet).get("/notifications/").content.decode()
    make_due(piet)
    assert send(piet) > 0
    (digest,) = [mail for mail in mailoutbox if mail.subject == "2 notifications from Koppel"]
    assert SECRET not in digest.body
    assert "Bakkerij B.V." in digest.body
    assert sorted(mails(piet)) == ["dropped", "sent", "sent"]
    with organisation_scope(anna.organisation_id):
        assert EmailDelivery.objects.get(state="dropped").reason == "not_visible"
        Assignment.objects.filter(membership_id=piet.membership_id).delete()
    assert rest_messages(piet) == [], "neither does a person see it who was unassigned"
    assert signed_in(piet).get("/api/v1/notifications?unread=true").json()["total"] == 0


def test_a_restricted_client_leaves_waiting_messages_and_the_log_of_webhooks(
    anna: Actor, settings: Any
) -> None:
    secret, other = administration_of(anna, SECRET), administration_of(anna, "Bakkerij B.V.")
    with organisation_scope(anna.organisation_id):
        webhook = WebhookEndpoint.objects.create(
            organisation_id=anna.organisation_id,
            name="Tickets",
            url="https://hooks.example.test/",
            paused_until=timezone.now() + timedelta(hours=1),
        )
    open_about(anna, secret, event=SyncEvent.IMPORT_FINISHED)
    open_about(anna, secret, other, key="two", event=SyncEvent.IMPORT_FINISHED)
    with organisation_scope(anna.organisation_id):
        bodies = [json.loads(delivery.body) for delivery in WebhookDelivery.objects.order_by("pk")]
        assert [body["context"]["total"] for body in bodies] == [1, 2]
        restrict(anna, secret.pk, [anna.membership_id])
        newest, oldest = list_deliveries(anna, webhook.pk)
        assert oldest.body == ""
        body = json.loads(newest.body)
        assert [one["id"] for one in body["administrations"]] == [other.pk]
        assert SECRET not in newest.body
        assert body["context"]["total"] == 1
        assert "1 administration " in body["message"]["en"]
