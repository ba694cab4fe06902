"""Queries of the change log, by the books' field names."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.books.read import labels
from koppel.connector.contract import Connector
from koppel.connector.registry import connector
from koppel.connector.rows import ROWS
from koppel.sync.models import Change, ChangeKind, Run

PAGE_SIZE = 50


@dataclass(frozen=True, kw_only=True)
class ChangeFilter:
    """A filter of changes; '' matches all."""

    resource: str = ""
    kind: str = ""
    search: str = ""
    """Matches the record's key."""
    closed: bool = False
    """Selects changes in periods that the source had closed."""
    since: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """The change of one field."""

    key: str
    """The column."""
    name: str
    """The label of the column."""
    before: str
    """Text for programs; '' without a value."""
    after: str
    """Text for programs; '' without a value."""
    old: object
    """The value for pages."""
    new: object
    """The value for pages."""


@dataclass(frozen=True, kw_only=True)
class ChangeDetail:
    """A change with its differing fields; for an added or deleted record, every field with a value."""

    change: Change
    resource: str
    fields: Sequence[FieldChange]
    before: str
    after: str
    is_renormalised: bool
    """Whether another version normalised the record at that time: the fields show both payloads as today's
    version normalises them, which may differ from what the books held.
    """


@dataclass(frozen=True, kw_only=True)
class ChangePage:
    changes: Sequence[ChangeDetail]
    total: int
    page: int
    pages: int


def run_of(administration: Administration, run_id: int) -> Run | None:
    run = Run.objects.in_organisation(administration.organisation_id).filter(administration=administration)
    return run.prefetch_related("run_resources").filter(pk=run_id).first()


def changes_of(
    administration: Administration, run: Run, change_filter: ChangeFilter, page: int = 1
) -> ChangePage:
    """Return the changes of a run in the order in which they were logged."""
    changes = _changes(administration).filter(run_id=run.pk).order_by("pk")
    return _page_of(administration, changes, change_filter, page)


def changes_of_all_runs(
    administration: Administration, change_filter: ChangeFilter, page: int = 1
) -> ChangePage:
    """Return the changes of all runs, newest first."""
    return _page_of(administration, _changes(administration).order_by("-at", "-pk"), change_filter, page)


def _changes(administration: Administration) -> "QuerySet[Change]":
    return Change.objects.filter(
        organisation_id=administration.organisation_id, administration_id=administration.pk
    )


def _page_of(
    administration: Administration, changes: "QuerySet[Change]", change_filter: ChangeFilter, page: int
) -> ChangePage:
    matching = changes.filter(_condition(change_filter))
    change_page = Paginator(matching, PAGE_SIZE).get_page(page)
    source = connector(administration.connection.connector)
    details = [_detail(change, source) for change in change_page]
    return ChangePage(
        changes=details,
        total=change_page.paginator.count,
        page=change_page.number,
        pages=change_page.paginator.num_pages,
    )


def _condition(change_filter: ChangeFilter) -> Q:
    conditions = Q()
    if change_filter.since:
        conditions &= Q(at__gte=change_filter.since)
    if change_filter.resource:
        conditions &= Q(resource=change_filter.resource)
    if change_filter.kind:
        conditions &= Q(kind=change_filter.kind)
    if change_filter.closed:
        conditions &= Q(in_closed_period=True)
    if change_filter.search:
        conditions &= Q(external_id__icontains=change_filter.search)
    return conditions


def _detail(change: Change, source: Connector) -> ChangeDetail:
    before, after = bytes(change.before or b""), bytes(change.after or b"")
    was, became = _values(change.resource, before, source), _values(change.resource, after, source)
    fields = [
        FieldChange(
            key=name,
            name=str(labels.COLUMNS.get(name, name)),
            before=_format_value(was.get(name)),
            after=_format_value(became.get(name)),
            old=was.get(name),
            new=became.get(name),
        )
        for name in dict.fromkeys([*was, *became])
        if _format_value(was.get(name)) != _format_value(became.get(name))
    ]
    return ChangeDetail(
        change=change,
        resource=str(labels.RESOURCES.get(change.resource, change.resource)),
        fields=fields,
        before=before.decode(errors="replace"),
        after=after.decode(errors="replace"),
        is_renormalised=change.normalisation_version != source.normalisation_versions[change.resource],
    )


def _values(resource: str, raw: bytes, source: Connector) -> dict[str, object]:
    """Return the typed columns.

    Empty when the payload can no longer be normalised: the page then shows the raw payload.
    """
    if not raw:
        return {}
    try:
        row = source.normalise(resource, raw)
    except ValueError:
        return {}
    return {name: getattr(row, name) for name in ROWS[resource].__struct_fields__ if name != "entry"}


def _format_value(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


KINDS = ChangeKind.choices
