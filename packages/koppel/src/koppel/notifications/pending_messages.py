"""Emails and webhook messages that waited when a quarantine began."""

from datetime import datetime

from django.db.models import Q, QuerySet

from koppel.kit import quarantine
from koppel.kit.models import Quarantine
from koppel.kit.tenancy import installation_scope
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.models import DeliveryState, EmailDelivery, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.organisations.hooks import PendingMessages

UNDER_WAY = (DeliveryState.WAITING, DeliveryState.CLAIMED)


def count_pending_since_before(began_at: datetime) -> PendingMessages:
    """Return the numbers of messages that the end of the quarantine would cancel."""
    with installation_scope("quarantine"):
        return PendingMessages(
            emails=_waiting_emails(began_at).count(), messages=_waiting_webhook_messages(began_at).count()
        )


def resume_messages(period: Quarantine) -> PendingMessages:
    """Cancel what waited when the quarantine began, unless it is to be sent. Return the numbers."""
    cancelled = PendingMessages() if period.sends_pending else _cancel_before(period.began_at)
    # The receivers are not to blame for the days without an accepted message.
    WebhookEndpoint.objects.exclude(failing_since=None).update(failing_since=None)
    return cancelled


def _cancel_before(began_at: datetime) -> PendingMessages:
    return PendingMessages(
        emails=EMAIL_OUTBOX.cancel(_waiting_emails(began_at), quarantine.CODE, with_leased=True),
        messages=WEBHOOK_OUTBOX.cancel(
            _waiting_webhook_messages(began_at), quarantine.CODE, with_leased=True
        ),
    )


def _waiting_emails(began_at: datetime) -> "QuerySet[EmailDelivery]":
    before = Q(notification__created_at__lt=began_at) | Q(notification__event__first_seen_at__lt=began_at)
    delivery_ids = EmailDelivery.objects.filter(before, state__in=UNDER_WAY).values("pk")
    return EmailDelivery.objects.filter(pk__in=delivery_ids)


def _waiting_webhook_messages(began_at: datetime) -> "QuerySet[WebhookDelivery]":
    before = Q(created_at__lt=began_at) | Q(event__first_seen_at__lt=began_at)
    delivery_ids = WebhookDelivery.objects.filter(before, state__in=UNDER_WAY).values("pk")
    return WebhookDelivery.objects.filter(pk__in=delivery_ids)
