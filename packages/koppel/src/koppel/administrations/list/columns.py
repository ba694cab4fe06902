"""The columns that the list can show, sort by and export."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, F, IntegerField, OuterRef, Subquery, Value
from django.db.models.expressions import Combinable, OrderBy
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Assignment
from koppel.issues.models import Issue
from koppel.kit.tabular.writers import ColumnType


@dataclass(frozen=True)
class ListColumn:
    """`sort`: what orders it, nulls last either way; '' sorts by a figure that is counted for it."""

    label: str | Promise
    sort: str
    kind: ColumnType = ColumnType.TEXT
    is_default: bool = False
    is_figure: bool = False


COLUMNS: Mapping[str, ListColumn] = {
    "name": ListColumn(_("Name"), "sort_name", is_default=True),
    "number": ListColumn(_("Number"), "number", is_default=True),
    "client": ListColumn(_("Client number"), "client_number"),
    "code": ListColumn(_("Code at source"), "remote_company__code"),
    "status": ListColumn(_("Status"), "status", is_default=True),
    "complete": ListColumn(_("Complete as of"), "complete_as_of", ColumnType.DATETIME, is_default=True),
    "division": ListColumn(_("Division"), "division__name", is_default=True),
    "people": ListColumn(_("People"), ""),
    "template": ListColumn(_("Template"), "template__name", is_default=True),
    "sector": ListColumn(_("Sector"), "sector"),
    "country": ListColumn(_("Country"), "country"),
    "currency": ListColumn(_("Currency"), "base_currency"),
    "connection": ListColumn(_("Connection"), "connection__account"),
    "imported": ListColumn(_("Imported"), "created_at", ColumnType.DATETIME),
    "issues": ListColumn(_("Issues"), "", ColumnType.INTEGER, is_default=True, is_figure=True),
}
DEFAULT_COLUMNS = tuple(key for key, one in COLUMNS.items() if one.is_default)


def ordering(sort: str) -> tuple[dict[str, Combinable], list[OrderBy]]:
    """(annotations needed, order) of a sort key such as `-complete`. Ties go by name, so that pages do not overlap."""
    key, descending = sort.removeprefix("-"), sort.startswith("-")
    annotations: dict[str, Combinable] = {} if COLUMNS[key].sort else {"sort_figure": _figure(key)}
    field = F(COLUMNS[key].sort or "sort_figure")
    # Columns that are never NULL go without "nulls last", which would keep PostgreSQL from reading them off an index.
    nulls = True if key in ("complete", "division", "template") else None
    first = field.desc(nulls_last=nulls) if descending else field.asc(nulls_last=nulls)
    rest = [] if key == "name" else [F("sort_name").asc()]
    last = F("pk").desc() if key == "name" and descending else F("pk").asc()
    return annotations, [first, *rest, last]


def _figure(key: str) -> Combinable:
    """How many issues or people each has, as one index look-up per row."""
    if key == "issues":
        related_rows = Issue.objects.filter(
            organisation_id=OuterRef("organisation_id"),
            subject_kind="administration",
            subject_id=OuterRef("pk"),
            resolved_at=None,
        )
        group = "subject_id"
    else:
        related_rows = Assignment.objects.filter(  # type: ignore[assignment]
            organisation_id=OuterRef("organisation_id"), administration_id=OuterRef("pk"), automatic=False
        )
        group = "administration_id"
    counted = related_rows.order_by().values(group).annotate(n=Count("*")).values("n")
    return Coalesce(Subquery(counted, output_field=IntegerField()), Value(0))
