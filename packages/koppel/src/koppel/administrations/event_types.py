"""The event types of administrations."""

from django.utils.translation import gettext_lazy as _

from koppel.notifications.event_types import EventCode, EventType


class AdministrationEvent(EventCode):
    """Events of administrations."""

    ASSIGNED = "administrations_assigned"


EVENT_TYPES = (
    EventType(
        AdministrationEvent.ASSIGNED,
        _("%(actor)s assigned %(name)s to you."),
        plural_message=_("%(actor)s assigned %(count)s administrations to you."),
        label=_("Administrations assigned to you"),
        is_momentary=True,
        is_private=True,
    ),
)
