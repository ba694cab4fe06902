"""The cells of the list's rows, for the page and for files.

A page has up to 1,500 cells; writing them here, with words looked up once, takes a third of the time that a template takes.
"""

from collections.abc import Callable, Mapping, Sequence
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
from koppel.administrations.hooks import Progress, progress_of
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.models import Administration, Assignment, Favourite, Status
from koppel.company_registers.numbers import mask_number
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.issues.queries import count_open
from koppel.kit.tabular.writers import Cell
from koppel.organisations.roles import Actor

DASH = SafeString('<span class="hint">–</span>')
FAILING_STATUSES = (Status.FAILED, Status.BLOCKED)


@dataclass(frozen=True)
class RowContext:
    """What the rows of one page need besides their own columns, by administration id."""

    progress: Mapping[int, Progress]
    issues: Mapping[int, int]
    people: Mapping[int, Sequence[str]]
    favourite_ids: frozenset[int]


@dataclass(frozen=True)
class ListRow:
    administration: Administration
    id: str
    is_favourite: bool
    is_failing: bool
    cells: SafeString
    """All of them as markup: a template's loop over a page of them would take twice as long as everything else."""


def load_row_context(actor: Actor, administrations: Sequence[Administration], columns: Sequence[str]) -> RowContext:
    ids = [one.pk for one in administrations]
    favourites = Favourite.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, administration_id__in=ids
    )
    return RowContext(
        progress=progress_of(actor.organisation_id, ids),
        issues=count_open(actor.organisation_id, "administration", ids) if "issues" in columns else {},
        people=_people_on(actor, ids) if "people" in columns else {},
        favourite_ids=frozenset(favourites.values_list("administration_id", flat=True)),
    )


def render_rows(
    administrations: Sequence[Administration], columns: Sequence[str], context: RowContext
) -> list[ListRow]:
    write = CellRenderer(context)
    makers: list[tuple[Callable[[Administration], SafeString], str]] = [
        (getattr(write, f"{key}_cell"), '<td class="number">' if COLUMNS[key].is_figure else "<td>") for key in columns
    ]
    return [
        ListRow(
            administration,
            str(administration.pk),
            administration.pk in context.favourite_ids,
            administration.status in FAILING_STATUSES,
            SafeString("".join(f"{head}{make(administration)}</td>" for make, head in makers)),
        )
        for administration in administrations
    ]


def cell_value(administration: Administration, key: str, context: RowContext) -> Cell:
    """The same cell in a file."""
    return _CELL_VALUES[key](administration, context)


def display_number(administration: Administration) -> str:
    """Masked where it is a person's."""
    return mask_number(administration.number, administration.country) if administration.number else ""


class CellRenderer:
    """One method per column, `<key>_cell`."""

    def __init__(self, context: RowContext) -> None:
        self.context = context
        self.labels = {
            "doubtful": _("This number looks doubtful."),
            "restricted": _("Restricted"),
            "retry": _("Retry"),
            "left": _("Client left"),
            "planned": _("To be deactivated"),
            "progress": _("Progress"),
        }
        self.states = {value: render_to_string("web/parts/status.html", {"status": value}) for value in Status.values}
        self.list_url = reverse("administrations:list")
        self.today = timezone.localdate()

    def name_cell(self, administration: Administration) -> SafeString:
        mark = ""
        if administration.restricted:
            mark = format_html(' <span class="tag" title="{0}">{0}</span>', self.labels["restricted"])
        return format_html(
            '<a id="open-{}" href="{}{}/">{}</a>{}',
            str(administration.pk),
            self.list_url,
            str(administration.pk),
            administration.name,
            mark,
        )

    def number_cell(self, administration: Administration) -> SafeString:
        if not administration.number:
            return DASH
        if not administration.number_note:
            return format_html("{}", display_number(administration))
        return format_html(
            '{} <span class="status status-warn" title="{}">◆<span class="visually-hidden">{}</span></span>',
            display_number(administration), self.labels["doubtful"], self.labels["doubtful"],
        )  # fmt: skip

    def client_cell(self, administration: Administration) -> SafeString:
        return _text(administration.client_number)

    def code_cell(self, administration: Administration) -> SafeString:
        return _text(administration.remote_company.code)

    def status_cell(self, administration: Administration) -> SafeString:
        parts = [SafeString(self.states[administration.status])]
        if administration.client_left_on:
            parts.append(
                format_html('<span class="hint">{} {}</span>', self.labels["left"], _day(administration.client_left_on))
            )
        elif administration.scheduled_deactivation_on:
            parts.append(
                format_html(
                    '<span class="hint">{} {}</span>',
                    self.labels["planned"],
                    _day(administration.scheduled_deactivation_on),
                )
            )
        progress = self.context.progress.get(administration.pk)
        if progress and progress.percent is not None and administration.status != Status.ACTIVE:
            bar = '{}% <progress max="100" value="{}" aria-label="{}"></progress>'
            parts.append(format_html(bar, progress.percent, progress.percent, self.labels["progress"]))
        if administration.status_reason:
            parts.append(self._reason(administration))
        return SafeString(" ".join(parts))

    def complete_cell(self, administration: Administration) -> SafeString:
        """Before the first time: what is being read."""
        progress = self.context.progress.get(administration.pk)
        if progress and progress.resource and administration.complete_as_of is None:
            return SafeString(render_to_string("web/parts/resource_progress.html", {"progress": progress}))
        return moment(administration.complete_as_of)

    def division_cell(self, administration: Administration) -> SafeString:
        return _text(administration.division.name if administration.division else "")

    def people_cell(self, administration: Administration) -> SafeString:
        names = self.context.people.get(administration.pk, ())
        text = ", ".join(names[:2]) + (f" +{len(names) - 2}" if len(names) > 2 else "")
        return format_html('<span title="{}">{}</span>', ", ".join(names), text) if names else DASH

    def template_cell(self, administration: Administration) -> SafeString:
        if not administration.template:
            return DASH
        return format_html('<span class="short" title="{0}">{0}</span>', administration.template.name)

    def sector_cell(self, administration: Administration) -> SafeString:
        if not administration.sector:
            return DASH
        return format_html(
            '<span title="{}">{}</span>', SECTIONS.get(administration.sector, ""), _sector(administration)
        )

    def country_cell(self, administration: Administration) -> SafeString:
        return _text(administration.country)

    def currency_cell(self, administration: Administration) -> SafeString:
        return _text(administration.base_currency)

    def connection_cell(self, administration: Administration) -> SafeString:
        return _text(administration.connection.account)

    def imported_cell(self, administration: Administration) -> SafeString:
        return moment(administration.created_at)

    def issues_cell(self, administration: Administration) -> SafeString:
        count = self.context.issues.get(administration.pk, 0)
        if not count:
            return DASH
        return format_html(
            '<a class="status status-warn" href="{}{}/">◆ {}<span class="visually-hidden"> {}</span></a>',
            self.list_url, str(administration.pk), str(count), administration.name,
        )  # fmt: skip

    def _reason(self, administration: Administration) -> SafeString:
        reason = format_html('<span class="hint">{}</span>', Truncator(administration.status_reason).chars(90))
        if administration.status != Status.FAILED:
            return reason
        url = hooks.sync_url(administration.pk)
        if not url:
            return reason
        link = '{} <a id="retry-{}" href="{}">{}<span class="visually-hidden"> {}</span></a>'
        return format_html(link, reason, str(administration.pk), url, self.labels["retry"], administration.name)


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
    text = f"{day} {date_format(local, 'TIME_FORMAT')}" if day else date_format(local, "SHORT_DATETIME_FORMAT")
    return format_html('<time datetime="{}">{}</time>', local.isoformat(timespec="seconds"), text)


def _sector(administration: Administration) -> str:
    return (
        f"{administration.sector} · {SECTIONS[administration.sector]}"
        if administration.sector in SECTIONS
        else administration.sector
    )


def _people_on(actor: Actor, ids: Sequence[int]) -> dict[int, list[str]]:
    """Names of those chosen for each."""
    assignments = Assignment.objects.filter(
        organisation_id=actor.organisation_id, administration_id__in=ids, automatic=False
    ).select_related("membership__user")
    names: dict[int, list[str]] = {}
    for assignment in assignments.order_by("membership__user__name"):
        names.setdefault(assignment.administration_id, []).append(str(assignment.membership.user))
    return names


_CELL_VALUES: Mapping[str, Callable[[Administration, RowContext], Cell]] = {
    "name": lambda row, context: row.name,
    "number": lambda row, context: display_number(row),
    "client": lambda row, context: row.client_number,
    "code": lambda row, context: row.remote_company.code,
    "status": lambda row, context: str(Status(row.status).label),
    "complete": lambda row, context: timezone.localtime(row.complete_as_of) if row.complete_as_of else None,
    "division": lambda row, context: row.division.name if row.division else "",
    "people": lambda row, context: ", ".join(context.people.get(row.pk, ())),
    "template": lambda row, context: row.template.name if row.template else "",
    "sector": lambda row, context: _sector(row),
    "country": lambda row, context: row.country,
    "currency": lambda row, context: row.base_currency,
    "connection": lambda row, context: row.connection.account,
    "imported": lambda row, context: timezone.localtime(row.created_at),
    "issues": lambda row, context: context.issues.get(row.pk, 0),
}
