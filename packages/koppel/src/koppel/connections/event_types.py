"""The words of this app's events, and whom they are about."""

from django.utils.translation import gettext_lazy as _

from koppel.connections.issue_types import EXPIRING, LOST, PARTLY_LOST
from koppel.connections.models import Connection
from koppel.notifications.audience.hooks import Subject
from koppel.notifications.event_types import EventType

EVENT_TYPES = {
    "connection_lost": EventType(
        LOST, label=_("A connection is lost"), supersedes=("sync_failing",), covers_issues=("consent_lost",)
    ),
    "connection_partly_lost": EventType(
        PARTLY_LOST, label=_("A part of a connection is lost"), covers_issues=("consent_partly_lost",)
    ),
    "consent_expiring": EventType(EXPIRING, label=_("A consent is about to end"), covers_issues=("consent_expiring",)),
    "transfer_requested": EventType(_("%(by)s asks you to take over the connection of %(account)s: sign in once.")),
    "transfer_completed": EventType(_("%(owner)s has taken over the connection of %(account)s.")),
}


def describe_subject(organisation_id: int, connection_id: int) -> Subject:
    """Describe whose matter an event about a connection is: its owner's."""
    connection = Connection.objects.filter(organisation_id=organisation_id, pk=connection_id).first()
    return Subject(connection.account, connection.owner_id) if connection else Subject()
