"""REST endpoints of the books: searchable rows, records for copies, counts and the trial balance."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from ninja import Query, Router, Schema
from pydantic import AwareDatetime

from koppel.books.access_log import open_books
from koppel.books.errors import UnknownResource
from koppel.books.models import MODELS_BY_RESOURCE, TIME_COLUMNS
from koppel.books.read import changefeed, queries
from koppel.books.read.export_columns import EXPORT_COLUMNS
from koppel.books.reports.period_selection import require_period_range, require_year
from koppel.books.reports.trial_balance import trial_balance
from koppel.connector.rows import ROWS
from koppel.kit.database.text import compose
from koppel.organisations.requests import AuthenticatedRequest

router = Router()


class Counts(Schema):
    """Rows per resource, and the totals of all entry lines, without records deleted at the source."""

    rows: dict[str, int]
    debit: Decimal
    credit: Decimal


class Rows(Schema):
    """A page of 200 rows; each has `external_id` and all columns of its resource."""

    total: int
    page: int
    pages: int
    items: list[dict[str, Any]]


class RecordsOut(Schema):
    """A page of records in the order of `external_id`.

    Each record has all typed columns of its resource, `first_seen`, `last_changed` and `deleted_at`. `next`
    is the `after` of the following page, null at the end. Keep the `as_of` of the first page: it is the
    `changed_since` of the next update.
    """

    items: list[dict[str, Any]]
    next: str | None
    as_of: datetime


class BalanceOut(Schema):
    """`stated` is the source's closing balance, null when it states none, as is `difference` then.

    Debit is positive.
    """

    account: str
    name: str
    opening: Decimal
    debit: Decimal
    credit: Decimal
    closing: Decimal
    stated: Decimal | None
    difference: Decimal | None


class TrialBalanceOut(Schema):
    """The balances of the periods (`YYYYPP`) from `since` through `until`, empty without any in the year.

    `matches`: each account in use agrees with the source, and opening and closing add up to zero. `differing`
    and `unstated` count the accounts that differ, and those in use without a `stated` balance.
    """

    fiscal_year: str
    since: str
    until: str
    matches: bool
    differing: int
    unstated: int
    accounts: list[BalanceOut]


@router.get("/{administration_id}/books", response=Counts)
def get_counts(request: AuthenticatedRequest, administration_id: int) -> Counts:
    """Return the rows per resource and the totals of all entry lines.

    They show whether a copy is complete.
    """
    administration = open_books(request.actor, administration_id)
    debit, credit = queries.debit_credit_totals(administration.pk)
    return Counts(rows=queries.counts(administration.pk), debit=debit, credit=credit)


@router.get("/{administration_id}/books/trial-balance", response=TrialBalanceOut)
def get_trial_balance(
    request: AuthenticatedRequest, administration_id: int, year: str = "", since: str = "", until: str = ""
) -> TrialBalanceOut:
    """Return the trial balance of `year` (default: the newest) from the period `since` through `until`.

    Periods are `YYYYPP`, or `PP` of the year; default: the whole year. What was booked before `since` is part
    of the opening balances.
    """
    administration = open_books(request.actor, administration_id)
    year = require_year(administration.pk, year)
    selected = require_period_range(administration.pk, year, since, until)
    report = trial_balance(administration.pk, year, selected.until, selected.since)
    accounts = [
        BalanceOut(
            account=row.code,
            name=row.name,
            opening=row.opening,
            debit=row.debit,
            credit=row.credit,
            closing=row.closing,
            stated=row.stated,
            difference=row.difference,
        )
        for row in report.accounts
    ]
    return TrialBalanceOut(
        fiscal_year=year,
        since=selected.first,
        until=selected.last,
        matches=report.is_matched,
        differing=len(report.differing),
        unstated=len(report.unstated),
        accounts=accounts,
    )


@router.get("/{administration_id}/books/{resource}", response=Rows)
def list_rows(
    request: AuthenticatedRequest,
    administration_id: int,
    resource: str,
    q: str = "",
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> Rows:
    """Return a page of a resource without records deleted at the source.

    `q` searches the texts that the page of the resource shows.
    """
    administration = open_books(request.actor, administration_id)
    if resource not in queries.SCREEN_COLUMNS:
        raise UnknownResource
    listing = queries.list_rows(administration.pk, resource, search=compose(q).strip(), page=page)
    columns = EXPORT_COLUMNS[resource]
    items = [{name: _format_amount(getattr(row, name)) for name in columns} for row in listing.rows]
    return Rows(total=listing.total, page=listing.page, pages=listing.pages, items=items)


@router.get("/{administration_id}/books/{resource}/records", response=RecordsOut)
def list_records(
    request: AuthenticatedRequest,
    administration_id: int,
    resource: str,
    after: str = "",
    changed_since: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=changefeed.RECORDS_MAX)] = 500,
) -> RecordsOut:
    """Return records page by page, for programs that keep a copy; `entry_lines` too.

    With `changed_since`, only the records that Koppel wrote since then, and the deleted ones with
    `deleted_at`. Records that changed shortly before may be returned again, under the same key.
    """
    administration = open_books(request.actor, administration_id)
    if resource not in MODELS_BY_RESOURCE:
        raise UnknownResource
    record_page = changefeed.list_records(
        administration.pk, resource, after=after, changed_since=changed_since, limit=limit
    )
    columns = ("external_id", *ROWS[resource].__struct_fields__, *TIME_COLUMNS)
    items = [{name: _format_amount(getattr(row, name)) for name in columns} for row in record_page.rows]
    return RecordsOut(items=items, next=record_page.next, as_of=record_page.as_of)


def _format_amount(value: Any) -> Any:
    """Return an amount as text: most clients would read a JSON number as a float."""
    return format(value, "f") if isinstance(value, Decimal) else value
