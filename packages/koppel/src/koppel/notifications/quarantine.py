"""Use cases of the operator: put the installation into quarantine, and end it.

Emails and webhook messages that waited when the quarantine began are cancelled at its end, unless the
operator has them sent: a restored copy must not repeat what the original has sent. Later ones are sent.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Q, QuerySet

from koppel.audit.services import add_audit_entry
from koppel.kit import quarantine
from koppel.kit.models import ReplacementRequest
from koppel.kit.quarantine import installation_identity, periods, replacement
from koppel.kit.tenancy import installation_scope
from koppel.notifications.audit_actions import QuarantineAction
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.models import DeliveryState, EmailDelivery, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.organisations.models import Organisation
from koppel.organisations.roles import Actor

UNDER_WAY = (DeliveryState.WAITING, DeliveryState.CLAIMED)


@dataclass(frozen=True)
class PendingMessages:
    """Numbers of waiting emails and webhook messages."""

    emails: int
    messages: int


def begin(operator: Actor, reason: quarantine.Reason = quarantine.Reason.MANUAL) -> bool:
    """Begin a quarantine: nothing leaves the installation. Returns False when one has begun already."""
    with installation_scope("quarantine"):
        began = periods.begin(operator.name, reason)
        if began:
            _add_entry_everywhere(operator, QuarantineAction.STARTED)
    quarantine.forget()
    return began


def end(operator: Actor, *, sends_pending: bool = False) -> PendingMessages | None:
    """End the quarantine. Returns the numbers of cancelled messages; None when there was no quarantine."""
    with installation_scope("quarantine"):
        period = periods.end(operator.name, sends_pending=sends_pending)
        if period is None:
            return None
        dropped = PendingMessages(0, 0) if sends_pending else _cancel_before(period.began_at)
        # The receivers are not to blame for the days without an accepted message.
        WebhookEndpoint.objects.exclude(failing_since=None).update(failing_since=None)
        _add_entry_everywhere(
            operator, QuarantineAction.ENDED, emails=dropped.emails, messages=dropped.messages
        )
    quarantine.forget()
    return dropped


def adopt(operator: Actor, *, replaces: str) -> PendingMessages | None:
    """End the quarantine of a copy that takes the place of its original, and make it an installation of its
    own. `replaces`: the original's address, or that it is gone. Raises `psycopg.Error`.
    """
    with installation_scope("quarantine"):
        # A copy that no command made has no row yet, and its waiting mail is as old.
        periods.begin(operator.name, quarantine.Reason.RESTORED)
    dropped = end(operator)
    with installation_scope("quarantine"):
        installation_identity.renew(connection.connection)
        _add_entry_everywhere(operator, QuarantineAction.ADOPTED, replaces=replaces)
    quarantine.forget()
    return dropped


def confirm_replacement(operator: Actor, request: ReplacementRequest) -> None:
    """Let a copy take the place of this installation: it stops, and the copy may fetch its tokens."""
    with installation_scope("quarantine"):
        periods.begin(operator.name, quarantine.Reason.REPLACED)
        replacement.confirm(request, operator.name)
        _add_entry_everywhere(operator, QuarantineAction.REPLACED, sender=request.sender)
    quarantine.forget()


def pending_since_before(began_at: datetime) -> PendingMessages:
    """Return the numbers of messages that `end` would cancel."""
    with installation_scope("quarantine"):
        return PendingMessages(_waiting_emails(began_at).count(), _waiting_webhook_messages(began_at).count())


def _cancel_before(began_at: datetime) -> PendingMessages:
    return PendingMessages(
        EMAIL_OUTBOX.cancel(_waiting_emails(began_at), quarantine.CODE, with_leased=True),
        WEBHOOK_OUTBOX.cancel(_waiting_webhook_messages(began_at), quarantine.CODE, with_leased=True),
    )


def _waiting_emails(began_at: datetime) -> "QuerySet[EmailDelivery]":
    before = Q(notification__created_at__lt=began_at) | Q(notification__event__first_seen_at__lt=began_at)
    delivery_ids = EmailDelivery.objects.filter(before, state__in=UNDER_WAY).values("pk")
    return EmailDelivery.objects.filter(pk__in=delivery_ids)


def _waiting_webhook_messages(began_at: datetime) -> "QuerySet[WebhookDelivery]":
    before = Q(created_at__lt=began_at) | Q(event__first_seen_at__lt=began_at)
    delivery_ids = WebhookDelivery.objects.filter(before, state__in=UNDER_WAY).values("pk")
    return WebhookDelivery.objects.filter(pk__in=delivery_ids)


def _add_entry_everywhere(operator: Actor, action: QuarantineAction, **details: object) -> None:
    """Add an entry to the audit log of every organisation: a quarantine affects them all."""
    for organisation_id in Organisation.objects.order_by("pk").values_list("pk", flat=True):
        add_audit_entry(organisation_id, operator.audit, action, details=details)
