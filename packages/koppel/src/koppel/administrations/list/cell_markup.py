"""Markup of the cells of a page.

A page has up to 1,500 cells; writing them here, with labels looked up once, takes a third of a template's
time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from koppel.administrations import hooks
from koppel.administrations.display_state import STOPPED_STATES
from koppel.administrations.list.cell_values import display_number, sector_title
from koppel.administrations.list.row_context import RowContext
from koppel.administrations.models import Administration, Status
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.kit.web.sentences import render_sentence

DASH = SafeString('<span class="hint">–</span>')
PEOPLE_SHOWN_MAX = 2
WARNING_CLASS = "status status-warn status-plain"
REASON_CHARACTERS = 120


@dataclass(frozen=True)
class PageContext:
    """Data shared by the cells of one page: `labels` in the reader's language, the markup of each display
    state, and the warning icon.
    """

    rows: RowContext
    labels: Mapping[str, str]
    states: Mapping[str, SafeString]
    warning: SafeString
    list_url: str


def page_context(rows: RowContext) -> PageContext:
    labels = {
        "doubtful": _("Check this number; it looks wrong."),
        "restricted": _("Restricted"),
        "retry": _("Retry"),
        "planned": _("To be deactivated"),
        "progress": _("Progress"),
    }
    states = {
        value: SafeString(render_to_string("administrations/state.html", {"state": value}).strip())
        for value in (*Status.values, *STOPPED_STATES, "left")
    }
    warning = SafeString(render_to_string("administrations/warning_icon.html").strip())
    return PageContext(rows, labels, states, warning, reverse("administrations:list"))


def text_cell(text: str) -> SafeString:
    return format_html("{}", text) if text else DASH


def time_markup(at: datetime | None) -> SafeString:
    """Write a time, with the words “today” and “yesterday” for those days."""
    if not at:
        return DASH
    local = timezone.localtime(at)
    days_ago = (timezone.localdate() - local.date()).days
    day = _("today") if days_ago == 0 else _("yesterday") if days_ago == 1 else ""
    text = (
        f"{day} {date_format(local, 'TIME_FORMAT')}" if day else date_format(local, "SHORT_DATETIME_FORMAT")
    )
    return format_html('<time datetime="{}">{}</time>', local.isoformat(timespec="seconds"), text)


def name_cell(administration: Administration, page: PageContext) -> SafeString:
    mark = ""
    if administration.restricted:
        mark = format_html(' <span class="tag" title="{0}">{0}</span>', page.labels["restricted"])
    return format_html(
        '<a id="open-{0}" href="{1}{0}/">{2}</a>{3}',
        str(administration.pk),
        page.list_url,
        administration.name,
        mark,
    )


def number_cell(administration: Administration, page: PageContext) -> SafeString:
    if not administration.number:
        return DASH
    if not administration.number_note:
        return format_html("{}", display_number(administration))
    return format_html(
        '{} <span class="{}" title="{}">{}{}</span>',
        display_number(administration),
        WARNING_CLASS,
        page.labels["doubtful"],
        page.warning,
        _visually_hidden(page.labels["doubtful"]),
    )


def status_cell(administration: Administration, page: PageContext) -> SafeString:
    """Write the status, with its day, progress and reason where there are any."""
    state = "left" if administration.client_left_on else page.rows.states[administration.pk]
    parts = [page.states[state]]
    if administration.client_left_on:
        parts.append(_dated_hint("", administration.client_left_on))
    elif administration.scheduled_deactivation_on:
        parts.append(_dated_hint(page.labels["planned"], administration.scheduled_deactivation_on))
    progress = page.rows.progress.get(administration.pk)
    if progress and progress.percent is not None:
        bar = (
            '<span class="progress">{0}% <progress max="100" value="{0}" aria-label="{1}"></progress></span>'
        )
        parts.append(format_html(bar, progress.percent, page.labels["progress"]))
    if progress and progress.resource and administration.complete_as_of is None:
        parts.append(render_to_string("web/parts/resource_progress.html", {"progress": progress}))
    if administration.status_reason:
        parts.append(_reason(administration, page))
    return SafeString(" ".join(parts))


def _dated_hint(label: str, day: date) -> SafeString:
    return format_html('<span class="hint">{} {}</span>', label, date_format(day, "SHORT_DATE_FORMAT"))


def _reason(administration: Administration, page: PageContext) -> SafeString:
    sentence = render_sentence(administration.status_reason)
    text = Truncator(sentence).chars(REASON_CHARACTERS)
    reason = format_html('<span class="cell-detail" title="{}">{}</span>', sentence, text)
    if administration.status != Status.FAILED or not (url := hooks.sync_url(administration.pk)):
        return reason
    link = '{} <a id="retry-{}" href="{}">{}<span class="visually-hidden"> {}</span></a>'
    return format_html(link, reason, str(administration.pk), url, page.labels["retry"], administration.name)


def complete_cell(administration: Administration, page: PageContext) -> SafeString:
    """Write the time as of which the books are complete."""
    return time_markup(administration.complete_as_of)


def people_cell(administration: Administration, page: PageContext) -> SafeString:
    names = page.rows.people.get(administration.pk, ())
    if not names:
        return DASH
    more = f" +{len(names) - PEOPLE_SHOWN_MAX}" if len(names) > PEOPLE_SHOWN_MAX else ""
    return format_html(
        '<span class="name-list" title="{}"><span>{}</span>{}</span>',
        ", ".join(names),
        ", ".join(names[:PEOPLE_SHOWN_MAX]),
        more,
    )


def template_cell(administration: Administration, page: PageContext) -> SafeString:
    if not administration.template:
        return DASH
    return format_html("{}", administration.template.name)


def sector_cell(administration: Administration, page: PageContext) -> SafeString:
    if not administration.sector:
        return DASH
    return format_html(
        '<span title="{}">{}</span>',
        SECTIONS.get(administration.sector, ""),
        sector_title(administration.sector),
    )


def imported_cell(administration: Administration, page: PageContext) -> SafeString:
    return time_markup(administration.created_at)


def issues_cell(administration: Administration, page: PageContext) -> SafeString:
    count = page.rows.issues.get(administration.pk, 0)
    if not count:
        return DASH
    return format_html(
        '<a class="{}" href="{}{}/">{} {}{}</a>',
        WARNING_CLASS,
        page.list_url,
        str(administration.pk),
        page.warning,
        str(count),
        _visually_hidden(f" {administration.name}"),
    )


def _visually_hidden(text: str) -> SafeString:
    """Write a text for screen readers only."""
    return format_html('<span class="visually-hidden">{}</span>', text)
