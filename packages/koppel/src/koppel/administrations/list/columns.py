"""The columns of the list, for display, sorting and export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, F, IntegerField, OuterRef, QuerySet, Subquery, Value
from django.db.models.expressions import Combinable, OrderBy
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from koppel.administrations.display_state import state_label
from koppel.administrations.list import cell_markup, cell_values
from koppel.administrations.list.cell_markup import PageContext
from koppel.administrations.list.row_context import RowContext
from koppel.administrations.models import Administration, Assignment
from koppel.audit.subjects import SubjectKind
from koppel.issues.models import needs_attention
from koppel.issues.queries import readable_issues
from koppel.kit.tabular.writers import Cell, ColumnType
from koppel.organisations.roles import Actor

CellValue = Callable[[Administration, RowContext], Cell]
CellMarkup = Callable[[Administration, PageContext], SafeString]


@dataclass(frozen=True, kw_only=True)
class ListColumn:
    """A column of the list."""

    key: str
    """The name in query strings."""
    label: str | Promise
    sort: str | Callable[[Actor], Combinable]
    """The field or the count to sort by; nulls last in both directions."""
    value: CellValue
    """Returns the cell of an export."""
    html: CellMarkup
    """Returns the cell of the page."""
    type: ColumnType = ColumnType.TEXT
    has_nulls: bool = False
    is_default: bool = False
    is_figure: bool = False
    display: Callable[[Any], Cell] | None = None


def text_column(
    key: str,
    label: str | Promise,
    sort: str,
    value: Callable[[Administration], str],
    *,
    has_nulls: bool = False,
    is_default: bool = False,
) -> ListColumn:
    """Return a column whose cell shows the value as text."""
    return ListColumn(
        key=key,
        label=label,
        sort=sort,
        value=lambda administration, rows: value(administration),
        html=lambda administration, page: cell_markup.text_cell(value(administration)),
        has_nulls=has_nulls,
        is_default=is_default,
    )


def count_open_issues(actor: Actor) -> Combinable:
    """Count the open issues of each administration that the actor may read, as one index lookup per row."""
    issues = readable_issues(actor).filter(
        needs_attention(),
        organisation_id=OuterRef("organisation_id"),
        subject_kind=SubjectKind.ADMINISTRATION,
        subject_id=OuterRef("pk"),
    )
    return _count(issues, "subject_id")


def count_people(actor: Actor) -> Combinable:
    """Count the people assigned to each administration by choice, as one index lookup per row."""
    assignments = Assignment.objects.for_actor(actor).filter(
        organisation_id=OuterRef("organisation_id"), administration_id=OuterRef("pk"), automatic=False
    )
    return _count(assignments, "administration_id")


def _count(related_rows: "QuerySet[Any]", group: str) -> Combinable:
    counted = related_rows.order_by().values(group).annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))


_COLUMNS = (
    ListColumn(
        key="name",
        label=_("Name"),
        sort="sort_name",
        value=lambda administration, rows: administration.name,
        html=cell_markup.name_cell,
        is_default=True,
    ),
    ListColumn(
        key="number",
        label=_("Number"),
        sort="number",
        value=lambda administration, rows: cell_values.display_number(administration),
        html=cell_markup.number_cell,
        is_default=True,
    ),
    text_column(
        "client", _("Client number"), "client_number", lambda administration: administration.client_number
    ),
    text_column(
        "code",
        _("Code at source"),
        "remote_company__code",
        lambda administration: administration.remote_company.code,
    ),
    ListColumn(
        key="status",
        label=_("Status"),
        sort="status",
        value=lambda administration, rows: rows.states[administration.pk],
        display=state_label,
        html=cell_markup.status_cell,
        is_default=True,
    ),
    ListColumn(
        key="issues",
        label=_("Issues"),
        sort=count_open_issues,
        value=lambda administration, rows: rows.issues.get(administration.pk, 0),
        html=cell_markup.issues_cell,
        type=ColumnType.INTEGER,
        is_default=True,
        is_figure=True,
    ),
    ListColumn(
        key="complete",
        label=_("Last synced"),
        sort="complete_as_of",
        value=lambda administration, rows: cell_values.local_time(administration.complete_as_of),
        html=cell_markup.complete_cell,
        type=ColumnType.DATETIME,
        has_nulls=True,
        is_default=True,
    ),
    text_column(
        "division",
        _("Division"),
        "division__name",
        cell_values.division_name,
        has_nulls=True,
        is_default=True,
    ),
    ListColumn(
        key="people",
        label=_("People"),
        sort=count_people,
        value=lambda administration, rows: ", ".join(rows.people.get(administration.pk, ())),
        html=cell_markup.people_cell,
        is_default=True,
    ),
    ListColumn(
        key="template",
        label=_("Template"),
        sort="template__name",
        value=lambda administration, rows: cell_values.template_name(administration),
        html=cell_markup.template_cell,
        has_nulls=True,
        is_default=True,
    ),
    ListColumn(
        key="sector",
        label=_("Sector"),
        sort="sector",
        value=lambda administration, rows: administration.sector,
        display=cell_values.sector_title,
        html=cell_markup.sector_cell,
    ),
    text_column("country", _("Country"), "country", lambda administration: administration.country),
    text_column(
        "currency", _("Currency"), "base_currency", lambda administration: administration.base_currency
    ),
    text_column(
        "connection",
        _("Connection"),
        "connection__account",
        lambda administration: administration.connection.account,
    ),
    ListColumn(
        key="imported",
        label=_("Imported"),
        sort="created_at",
        value=lambda administration, rows: cell_values.local_time(administration.created_at),
        html=cell_markup.imported_cell,
        type=ColumnType.DATETIME,
    ),
)
COLUMNS: Mapping[str, ListColumn] = {column.key: column for column in _COLUMNS}
"""By key, in the order of the page."""
DEFAULT_COLUMNS = tuple(column.key for column in _COLUMNS if column.is_default)


def ordering(actor: Actor, sort: str) -> tuple[dict[str, Combinable], list[OrderBy]]:
    """Return (annotations needed, order) of a sort key such as `-complete`. Ties go by name, so that pages do
    not overlap.
    """
    column, descending = COLUMNS[sort.removeprefix("-")], sort.startswith("-")
    annotations: dict[str, Combinable] = (
        {} if isinstance(column.sort, str) else {"sort_figure": column.sort(actor)}
    )
    field = F(column.sort if isinstance(column.sort, str) else "sort_figure")
    # Columns that are never NULL go without "nulls last", which would keep
    # PostgreSQL from reading them off an index.
    nulls_last = True if column.has_nulls else None
    first = field.desc(nulls_last=nulls_last) if descending else field.asc(nulls_last=nulls_last)
    rest = [] if column.key == "name" else [F("sort_name").asc()]
    last = F("pk").desc() if column.key == "name" and descending else F("pk").asc()
    return annotations, [first, *rest, last]
