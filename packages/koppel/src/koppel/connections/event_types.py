"""The event types of connections, their texts and subjects."""

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from koppel.connections.issue_types import EXPIRING, LOST, PARTLY_LOST, ConnectionIssue
from koppel.connections.models import Connection
from koppel.notifications.audience.hooks import SubjectDescription
from koppel.notifications.event_types import EventCode, EventType
from koppel.notifications.models import EventFacts


class ConnectionEvent(EventCode):
    """Events of connections."""

    LOST = "connection_lost"
    PARTLY_LOST = "connection_partly_lost"
    CONSENT_EXPIRING = "consent_expiring"
    TRANSFER_REQUESTED = "transfer_requested"
    TRANSFER_COMPLETED = "transfer_completed"


def _name_companies(facts: EventFacts) -> EventFacts:
    return {"companies": facts.get("names") or gettext("some companies")}


EVENT_TYPES = (
    EventType(
        ConnectionEvent.LOST,
        LOST,
        label=_("Connection lost"),
        covers_issues=(ConnectionIssue.CONSENT_LOST,),
    ),
    EventType(
        ConnectionEvent.PARTLY_LOST,
        PARTLY_LOST,
        label=_("Connection partly lost"),
        localize=_name_companies,
        names_are_optional=True,
        covers_issues=(ConnectionIssue.CONSENT_PARTLY_LOST,),
    ),
    EventType(
        ConnectionEvent.CONSENT_EXPIRING,
        EXPIRING,
        label=_("Consent ending soon"),
        covers_issues=(ConnectionIssue.CONSENT_EXPIRING,),
    ),
    EventType(
        ConnectionEvent.TRANSFER_REQUESTED,
        _("%(by)s asks you to take over the connection of %(account)s. Sign in once to accept."),
    ),
    EventType(
        ConnectionEvent.TRANSFER_COMPLETED, _("%(owner)s has taken over the connection of %(account)s.")
    ),
)


def describe_subject(organisation_id: int, connection_id: int) -> SubjectDescription:
    """Describe whose matter an event about a connection is: its owner's."""
    connection = Connection.objects.in_organisation(organisation_id).filter(pk=connection_id).first()
    return (
        SubjectDescription(name=connection.account, responsible=connection.owner_id)
        if connection
        else SubjectDescription()
    )
