"""The records of a resource in key order, all or changed since a moment, for programs that keep a copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from koppel.books.models import MODELS_BY_RESOURCE, BookRow
from koppel.kit.clock import now

RECORDS_MAX = 1000
OVERLAP = timedelta(minutes=10)
"""A record carries the time at which its page was read and becomes visible when the page is committed, a
little later.
"""


@dataclass(frozen=True, kw_only=True)
class RecordPage:
    """A page of records."""

    rows: Sequence[BookRow]
    next: str | None
    """The key after which the following page begins; None at the end."""
    as_of: datetime
    """A later request with this moment as `changed_since` misses nothing; records that changed shortly before
    may be returned again.
    """


def list_records(
    administration_id: int,
    resource: str,
    *,
    after: str = "",
    changed_since: datetime | None = None,
    limit: int = 500,
) -> RecordPage:
    """Return a page of records.

    With `changed_since`, the records that changed or were deleted since then; otherwise all that are not
    deleted. Raises `KeyError` for an unknown resource.
    """
    as_of = now() - OVERLAP
    queryset = MODELS_BY_RESOURCE[resource]._default_manager.filter(administration_id=administration_id)
    if after:
        queryset = queryset.filter(external_id__gt=after)
    if changed_since is None:
        queryset = queryset.filter(deleted_at=None)
    else:
        queryset = queryset.filter(Q(last_changed__gte=changed_since) | Q(deleted_at__gte=changed_since))
    rows = list(queryset.defer("raw", "content_hash").order_by("external_id")[: limit + 1])
    more = len(rows) > limit
    return RecordPage(rows=rows[:limit], next=rows[limit - 1].external_id if more else None, as_of=as_of)
