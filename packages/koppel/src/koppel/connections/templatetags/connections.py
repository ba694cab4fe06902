"""Words of a connection's timeline and health."""

from datetime import timedelta
from typing import Any

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from koppel.connections.health import DayHealth
from koppel.connections.models import TimelineEvent

register = template.Library()
EVENTS = {
    "connected": _("Connected as %(account)s"),
    "reconnected": _("Signed in again as %(account)s"),
    "company_added": _("A company was added by signing in as %(account)s"),
    "lost": _("Consent lost"),
    "partly_lost": _("Consent lost for %(companies)s"),
    "refreshed": _("Tokens renewed"),
    "degraded": _("The accounting system did not answer"),
    "recovered": _("The accounting system answers again"),
    "consent_expiring": _("The consent ends on %(day)s; the owner was told"),
    "paused": _("Paused"),
    "resumed": _("Resumed"),
    "transfer_requested": _("%(owner)s was asked to take over"),
    "transfer_cancelled": _("%(owner)s keeps the connection"),
    "owner_changed": _("%(owner)s has taken over; it runs on %(account)s"),
    "import_policy_changed": _("%(count)s companies released for import"),
    "removed": _("Removed"),
    "revoked": _("Tokens of %(account)s withdrawn at the accounting system"),
    "company_unlisted": _("%(name)s is no longer reached"),
    "company_relisted": _("%(name)s is reached again"),
    "company_access_lost": _("No access to %(name)s any more"),
    "company_access_restored": _("Access to %(name)s again"),
    "company_renamed": _("%(old)s is called %(new)s now"),
    "company_code_changed": _("%(name)s has the code %(new)s now"),
    "company_number_changed": _("%(name)s has the number %(new)s now"),
    "other_company": _("%(old)s (%(old_number)s) is %(new)s (%(new_number)s) now: stopped until somebody decides"),
    "company_restored": _("%(name)s is the confirmed company again"),
    "same_company_confirmed": _("%(new)s (%(new_number)s) was confirmed as the same company as %(old)s"),
}
BAD = ("lost", "partly_lost", "company_unlisted", "company_access_lost", "other_company")
WARNING = ("degraded", "consent_expiring", "company_renamed", "company_code_changed", "company_number_changed")
DAY_KINDS = {
    "ok": _("well"),
    "none": _("not connected yet"),
    "degraded": _("no answer"),
    "lost": _("consent lost"),
    "partly_lost": _("consent partly lost"),
    "paused": _("paused"),
}


class _Dashes(dict[str, Any]):
    """The context may be older than the message: a missing value shows as a dash."""

    def __missing__(self, key: str) -> str:
        return "–"


@register.filter
def event_message(event: TimelineEvent) -> str:
    message = EVENTS.get(event.kind)
    return str(message) % _Dashes(event.context) if message else event.kind


@register.filter
def event_tone(event: TimelineEvent) -> str:
    """Return a class, which has a shape too: what is seen is never colour alone."""
    return "bad" if event.kind in BAD else "warn" if event.kind in WARNING else "ok"


@register.filter
def event_time(event: TimelineEvent) -> str:
    """Return a moment, or from when to when; while it lasts the end is open."""
    start = timezone.localtime(event.at)
    text = date_format(start, "SHORT_DATETIME_FORMAT")
    if event.ended_at is None:
        return text
    end = timezone.localtime(event.ended_at)
    is_short = end - start < timedelta(hours=20) and end.date() == start.date()
    return f"{text} – {date_format(end, 'TIME_FORMAT' if is_short else 'SHORT_DATETIME_FORMAT')}"


@register.filter
def in_words(message: str) -> str:
    """Return a sentence of a connector in the reader's language where it is known."""
    return translate(message) if message else ""


@register.filter
def day_message(day: DayHealth) -> str:
    text = f"{date_format(day.day, 'SHORT_DATE_FORMAT')}: {DAY_KINDS.get(day.kind, day.kind)}"
    return translate("%(text)s, %(minutes)d minutes") % {"text": text, "minutes": day.minutes} if day.minutes else text


@register.filter
def bar_summary(days: list[DayHealth]) -> str:
    """Describe the drawing in one sentence, for those who do not see it."""
    troubled = [day for day in days if day.kind not in ("ok", "none")]
    if not troubled:
        return translate("Health of the last 30 days: well every day.")
    listed = "; ".join(day_message(day) for day in troubled)
    return translate("Health of the last 30 days: %(listed)s.") % {"listed": listed}
