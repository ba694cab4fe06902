"""Words of a connection's timeline."""

from django import template
from django.utils.translation import gettext_lazy as _

register = template.Library()
EVENTS = {
    "connected": _("Connected"),
    "reconnected": _("Signed in again"),
    "lost": _("Consent lost"),
    "refreshed": _("Renewed"),
    "degraded": _("The accounting system did not answer"),
    "recovered": _("The accounting system answers again"),
}


@register.filter
def event_name(kind: str) -> str:
    return str(EVENTS.get(kind, kind))
