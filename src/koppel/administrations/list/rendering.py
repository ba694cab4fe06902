"""The cells of the list's rows, for the page and for files.

A page has up to 1,500 cells; writing them here, with words looked up once, takes a third of the time that a template takes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from koppel.administrations.hooks import extension_points
from koppel.administrations.hooks.extension_points import Progress
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.models import Administration, Assignment, Favourite, Status
from koppel.company_registers.numbers import masked
from koppel.company_registers.sectors import SECTIONS
from koppel.issues.queries import count_open
from koppel.kit.tabular_export import Cell
from koppel.organisations.roles import Actor

DASH = SafeString('<span class="hint">–</span>')
TROUBLE = (Status.FAILED, Status.BLOCKED)


@dataclass(frozen=True)
class Facts:
    """What the rows of one page need besides their own columns, by administration id."""

    progress: Mapping[int, Progress]
    issues: Mapping[int, int]
    people: Mapping[int, Sequence[str]]
    starred: frozenset[int]


@dataclass(frozen=True)
class Row:
    administration: Administration
    id: str
    is_starred: bool
    is_in_trouble: bool
    cells: SafeString
    """All of them as markup: a template's loop over a page of them would take twice as long as everything else."""


def facts_of(actor: Actor, found: Sequence[Administration], columns: Sequence[str]) -> Facts:
    ids = [one.pk for one in found]
    own = Favourite.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, administration_id__in=ids
    )
    return Facts(
        progress=extension_points.progress_of(actor.organisation_id, ids),
        issues=count_open(actor.organisation_id, "administration", ids) if "issues" in columns else {},
        people=_people_on(actor, ids) if "people" in columns else {},
        starred=frozenset(own.values_list("administration_id", flat=True)),
    )


def rows_of(found: Sequence[Administration], columns: Sequence[str], facts: Facts) -> list[Row]:
    write = _Writer(facts)
    makers: list[tuple[Callable[[Administration], SafeString], str]] = [
        (getattr(write, f"{key}_cell"), '<td class="number">' if COLUMNS[key].is_figure else "<td>") for key in columns
    ]
    return [
        Row(
            one,
            str(one.pk),
            one.pk in facts.starred,
            one.status in TROUBLE,
            SafeString("".join(f"{head}{make(one)}</td>" for make, head in makers)),
        )
        for one in found
    ]


def plain(one: Administration, key: str, facts: Facts) -> Cell:
    """The same cell in a file."""
    return _PLAIN[key](one, facts)


def shown_number(one: Administration) -> str:
    """Masked where it is a person's."""
    return masked(one.number, one.country) if one.number else ""


class _Writer:
    """One method per column, `<key>_cell`."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.words = {
            "doubtful": _("This number looks doubtful."),
            "restricted": _("Restricted"),
            "retry": _("Retry"),
            "left": _("Client left"),
            "planned": _("To be deactivated"),
            "progress": _("Progress"),
        }
        self.states = {value: render_to_string("web/parts/status.html", {"status": value}) for value in Status.values}
        self.here = reverse("administrations:list")
        self.today = timezone.localdate()

    def name_cell(self, one: Administration) -> SafeString:
        mark = ""
        if one.restricted:
            mark = format_html(' <span class="tag" title="{0}">{0}</span>', self.words["restricted"])
        return format_html('<a id="open-{}" href="{}{}/">{}</a>{}', str(one.pk), self.here, str(one.pk), one.name, mark)

    def number_cell(self, one: Administration) -> SafeString:
        if not one.number:
            return DASH
        if not one.number_note:
            return format_html("{}", shown_number(one))
        return format_html(
            '{} <span class="status status-warn" title="{}">◆<span class="visually-hidden">{}</span></span>',
            shown_number(one), self.words["doubtful"], self.words["doubtful"],
        )  # fmt: skip

    def client_cell(self, one: Administration) -> SafeString:
        return _text(one.client_number)

    def code_cell(self, one: Administration) -> SafeString:
        return _text(one.remote_company.code)

    def status_cell(self, one: Administration) -> SafeString:
        parts = [SafeString(self.states[one.status])]
        if one.left_on:
            parts.append(format_html('<span class="hint">{} {}</span>', self.words["left"], _day(one.left_on)))
        elif one.deactivate_on:
            parts.append(format_html('<span class="hint">{} {}</span>', self.words["planned"], _day(one.deactivate_on)))
        progress = self.facts.progress.get(one.pk)
        if progress and progress.percent is not None and one.status != Status.ACTIVE:
            bar = '{}% <progress max="100" value="{}" aria-label="{}"></progress>'
            parts.append(format_html(bar, progress.percent, progress.percent, self.words["progress"]))
        if one.status_reason:
            parts.append(self._reason(one))
        return SafeString(" ".join(parts))

    def complete_cell(self, one: Administration) -> SafeString:
        """Before the first time: what is being read."""
        progress = self.facts.progress.get(one.pk)
        if progress and progress.resource and one.complete_as_of is None:
            return SafeString(render_to_string("web/parts/being_read.html", {"progress": progress}))
        return moment(one.complete_as_of)

    def division_cell(self, one: Administration) -> SafeString:
        return _text(one.division.name if one.division else "")

    def people_cell(self, one: Administration) -> SafeString:
        names = self.facts.people.get(one.pk, ())
        shown = ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")
        return format_html('<span title="{}">{}</span>', ", ".join(names), shown) if names else DASH

    def template_cell(self, one: Administration) -> SafeString:
        if not one.template:
            return DASH
        return format_html('<span class="short" title="{0}">{0}</span>', one.template.name)

    def sector_cell(self, one: Administration) -> SafeString:
        if not one.sector:
            return DASH
        return format_html('<span title="{}">{}</span>', SECTIONS.get(one.sector, ""), _sector(one))

    def country_cell(self, one: Administration) -> SafeString:
        return _text(one.country)

    def currency_cell(self, one: Administration) -> SafeString:
        return _text(one.base_currency)

    def connection_cell(self, one: Administration) -> SafeString:
        return _text(one.connection.account)

    def imported_cell(self, one: Administration) -> SafeString:
        return moment(one.created_at)

    def issues_cell(self, one: Administration) -> SafeString:
        count = self.facts.issues.get(one.pk, 0)
        if not count:
            return DASH
        return format_html(
            '<a class="status status-warn" href="{}{}/">◆ {}<span class="visually-hidden"> {}</span></a>',
            self.here, str(one.pk), str(count), one.name,
        )  # fmt: skip

    def _reason(self, one: Administration) -> SafeString:
        reason = format_html('<span class="hint">{}</span>', Truncator(one.status_reason).chars(90))
        if one.status != Status.FAILED:
            return reason
        try:
            address = reverse("sync:overview", args=[one.pk])
        except NoReverseMatch:
            return reason
        link = '{} <a id="retry-{}" href="{}">{}<span class="visually-hidden"> {}</span></a>'
        return format_html(link, reason, str(one.pk), address, self.words["retry"], one.name)


def _text(text: str) -> SafeString:
    return format_html("{}", text) if text else DASH


def _day(day: date) -> str:
    return date_format(day, "SHORT_DATE_FORMAT")


def moment(at: datetime | None) -> SafeString:
    """Today and yesterday by their names: whether books are fresh is seen at a glance."""
    if not at:
        return DASH
    local = timezone.localtime(at)
    days_ago = (timezone.localdate() - local.date()).days
    day = _("today") if days_ago == 0 else _("yesterday") if days_ago == 1 else ""
    shown = f"{day} {date_format(local, 'TIME_FORMAT')}" if day else date_format(local, "SHORT_DATETIME_FORMAT")
    return format_html('<time datetime="{}">{}</time>', local.isoformat(timespec="seconds"), shown)


def _sector(one: Administration) -> str:
    return f"{one.sector} · {SECTIONS[one.sector]}" if one.sector in SECTIONS else one.sector


def _people_on(actor: Actor, ids: Sequence[int]) -> dict[int, list[str]]:
    """Names of those chosen for each."""
    found = Assignment.objects.filter(
        organisation_id=actor.organisation_id, administration_id__in=ids, automatic=False
    ).select_related("membership__user")
    names: dict[int, list[str]] = {}
    for one in found.order_by("membership__user__name"):
        names.setdefault(one.administration_id, []).append(str(one.membership.user))
    return names


_PLAIN: Mapping[str, Callable[[Administration, Facts], Cell]] = {
    "name": lambda one, facts: one.name,
    "number": lambda one, facts: shown_number(one),
    "client": lambda one, facts: one.client_number,
    "code": lambda one, facts: one.remote_company.code,
    "status": lambda one, facts: str(Status(one.status).label),
    "complete": lambda one, facts: timezone.localtime(one.complete_as_of) if one.complete_as_of else None,
    "division": lambda one, facts: one.division.name if one.division else "",
    "people": lambda one, facts: ", ".join(facts.people.get(one.pk, ())),
    "template": lambda one, facts: one.template.name if one.template else "",
    "sector": lambda one, facts: _sector(one),
    "country": lambda one, facts: one.country,
    "currency": lambda one, facts: one.base_currency,
    "connection": lambda one, facts: one.connection.account,
    "imported": lambda one, facts: timezone.localtime(one.created_at),
    "issues": lambda one, facts: facts.issues.get(one.pk, 0),
}
