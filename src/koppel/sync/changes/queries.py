"""Reads of the log of changes: what a run did to each record, field by field as the books name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.books.read import labels
from koppel.connector.contract import Connector
from koppel.connector.registry import connector
from koppel.connector.rows import ROWS
from koppel.sync.models import Change, ChangeKind, Run

PAGE_SIZE = 50


@dataclass(frozen=True)
class Filter:
    """'' = any. `closed`: only changes in a period that the source had closed. `search` is looked for in the key."""

    resource: str = ""
    kind: str = ""
    search: str = ""
    closed: bool = False


@dataclass(frozen=True)
class FieldChange:
    """`key` is the column, `name` its word. `before` or `after` '' = there was no value."""

    key: str
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Shown:
    """A change with its fields: those that differ, or all that have a value when the record came or went."""

    change: Change
    resource: str
    fields: Sequence[FieldChange]
    before: str
    after: str


@dataclass(frozen=True)
class ChangePage:
    changes: Sequence[Shown]
    total: int
    page: int
    pages: int


def run_of(administration: Administration, run_id: int) -> Run | None:
    found = Run.objects.filter(organisation_id=administration.organisation_id, administration=administration)
    return found.prefetch_related("parts").filter(pk=run_id).first()


def changes_of(administration: Administration, run: Run, wanted: Filter, page: int = 1) -> ChangePage:
    """In the order in which they were found."""
    found = Change.objects.filter(
        organisation_id=administration.organisation_id, administration_id=administration.pk, run_id=run.pk
    )
    conditions = Q()
    if wanted.resource:
        conditions &= Q(resource=wanted.resource)
    if wanted.kind:
        conditions &= Q(kind=wanted.kind)
    if wanted.closed:
        conditions &= Q(in_closed_period=True)
    if wanted.search:
        conditions &= Q(external_id__icontains=wanted.search)
    found = found.filter(conditions)
    total = found.count()
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(page, 1), pages)
    source = connector(administration.connection.connector)
    shown = [_shown(one, source) for one in found.order_by("pk")[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]]
    return ChangePage(shown, total, page, pages)


def _shown(change: Change, source: Connector) -> Shown:
    before, after = bytes(change.before or b""), bytes(change.after or b"")
    was, became = _values(change.resource, before, source), _values(change.resource, after, source)
    fields = [
        FieldChange(name, str(labels.COLUMNS.get(name, name)), was.get(name, ""), became.get(name, ""))
        for name in dict.fromkeys([*was, *became])
        if was.get(name, "") != became.get(name, "")
    ]
    return Shown(
        change, str(labels.RESOURCES.get(change.resource, change.resource)), fields,
        before.decode(errors="replace"), after.decode(errors="replace"),
    )  # fmt: skip


def _values(resource: str, native: bytes, source: Connector) -> dict[str, str]:
    """Typed columns as text; none when the payload can no longer be understood: it is shown as it is then."""
    if not native:
        return {}
    try:
        row = source.normalise(resource, native)
    except ValueError:
        return {}
    return {name: _text(getattr(row, name)) for name in ROWS[resource].__struct_fields__ if name != "entry"}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


KINDS = ChangeKind.choices
