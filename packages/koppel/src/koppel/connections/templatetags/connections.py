"""Words of a connection's timeline and health."""

from datetime import timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from koppel.connections.health import DayHealth
from koppel.connections.models import TimelineEvent, TimelineKind
from koppel.kit.web.sentences import fill

register = template.Library()
BAD = (
    TimelineKind.LOST,
    TimelineKind.PARTLY_LOST,
    TimelineKind.COMPANY_UNLISTED,
    TimelineKind.COMPANY_ACCESS_LOST,
    TimelineKind.OTHER_COMPANY,
)
WARNING = (
    TimelineKind.DEGRADED,
    TimelineKind.CONSENT_EXPIRING,
    TimelineKind.COMPANY_RENAMED,
    TimelineKind.COMPANY_CODE_CHANGED,
    TimelineKind.COMPANY_NUMBER_CHANGED,
)
HOURS_FROM_MINUTES = 90
DAY_KINDS = {
    "ok": _("no problems"),
    "none": _("not connected yet"),
    "degraded": _("no answer"),
    "unreachable": _("not every company reachable"),
    "lost": _("consent lost"),
    "partly_lost": _("consent partly lost"),
    "paused": _("paused"),
}


@register.filter
def event_message(event: TimelineEvent) -> str:
    if event.kind not in TimelineKind.values:
        return event.kind
    return fill(TimelineKind(event.kind).label, event.context)


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
def day_message(day: DayHealth) -> str:
    text = f"{date_format(day.day, 'SHORT_DATE_FORMAT')}: {DAY_KINDS.get(day.kind, day.kind)}"
    return f"{text}, {_duration(day.minutes)}" if day.minutes else text


def _duration(minutes: int) -> str:
    if minutes < HOURS_FROM_MINUTES:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    hours = round(minutes / 60)
    return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}


@register.filter
def troubled_days(days: list[DayHealth]) -> list[DayHealth]:
    """Return the days on which something was wrong, newest first."""
    return [day for day in reversed(days) if day.kind not in ("ok", "none")]


@register.filter
def bar_summary(days: list[DayHealth]) -> str:
    """Describe the drawing in one sentence, for those who do not see it."""
    troubled = troubled_days(days)[::-1]
    if not troubled:
        return translate("Health over the last 30 days: no problems.")
    listed = "; ".join(day_message(day) for day in troubled)
    return translate("Health over the last 30 days: %(listed)s.") % {"listed": listed}
