"""Reasons why a message was not accepted, and the event of a webhook that is switched off."""

from django.utils.translation import gettext_lazy as _

from koppel.kit.http.client import NOT_ALLOWED, NOT_CONNECTED
from koppel.kit.quarantine import CODE
from koppel.notifications.event_types import EventType, NotificationEvent
from koppel.notifications.models import EventFacts

REASONS = {
    "refused": _("It did not accept the message."),
    "redirected": _("It redirects, which is not followed: enter the address that it leads to."),
    "gone": _("It answers 410: it is gone for good."),
    "unresponsive": _("It accepted nothing for three days."),
    "timeout": _("It did not answer in time."),
    "network": _("The connection broke."),
    "too_large": _("Its answer is larger than a webhook's may be."),
    NOT_CONNECTED: _("It cannot be reached."),
    NOT_ALLOWED: _(
        "This address is not public. Whoever operates Koppel decides which networks of your own it may call."
    ),
    "disabled": _("The webhook was switched off."),
    CODE: _("It waited when Koppel was put into quarantine, so it was not sent."),
    "recovered": _("It was over before it was told."),
    "vault_key": _("Its secret cannot be opened. Whoever operates Koppel has to put the key back."),
}


def reason_text(reason: str) -> str:
    """Return the reason's text in the active language; '' for none."""
    return str(REASONS.get(reason, reason))


def _localize(facts: EventFacts) -> EventFacts:
    return {"message": reason_text(str(facts.get("reason", "")))}


EVENT_TYPES = (
    EventType(
        NotificationEvent.WEBHOOK_DISABLED,
        _("The webhook %(name)s was switched off. %(message)s"),
        label=_("A webhook was switched off"),
        localize=_localize,
        is_momentary=True,
    ),
)
