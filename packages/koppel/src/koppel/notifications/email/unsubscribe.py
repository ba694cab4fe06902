"""Unsubscribing from emails about one event, by a signed link that needs no sign-in (RFC 8058)."""

from typing import NamedTuple

from django.core import signing

from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.models import Channel, EmailDelivery, EmailReason, Preference, PreferenceScope
from koppel.organisations.models import Membership

SALT = "koppel.notifications.unsubscribe"


class Unsubscription(NamedTuple):
    """The subscription that a link ends: emails to one member about one event type."""

    organisation_id: int
    membership_id: int
    event_type: str


def unsubscribe_token(membership: Membership, event_type: str) -> str:
    return signing.dumps([membership.organisation_id, membership.pk, event_type], salt=SALT)


def read_unsubscribe_token(token: str) -> Unsubscription | None:
    """Return the subscription of the token; None if its signature is invalid."""
    try:
        organisation_id, membership_id, event_type = signing.loads(token, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return Unsubscription(
        organisation_id=int(organisation_id), membership_id=int(membership_id), event_type=str(event_type)
    )


def unsubscribe(unsubscription: Unsubscription) -> None:
    """Turn off the member's emails about the event type, and cancel those that wait. In scope."""
    organisation_id, membership_id, event_type = unsubscription
    Preference.objects.update_or_create(
        organisation_id=organisation_id,
        membership_id=membership_id,
        event_type=event_type,
        channel=Channel.EMAIL,
        defaults={"scope": PreferenceScope.NONE},
    )
    deliveries = EmailDelivery.objects.in_organisation(organisation_id)
    EMAIL_OUTBOX.cancel(
        deliveries.filter(membership_id=membership_id, notification__event_type=event_type),
        EmailReason.UNSUBSCRIBED,
    )
