"""The books over REST: rows of a resource, counts, trial balance."""

from decimal import Decimal
from typing import Any

from ninja import Router, Schema

from koppel.books import queries
from koppel.books.errors import UnknownResource
from koppel.books.opening import books_for
from koppel.books.trial_balance import fiscal_years, trial_balance
from koppel.web.doors import MemberRequest

router = Router()


class Counts(Schema):
    """Rows per resource, and the sums of all entry lines, without what was deleted at the source."""

    rows: dict[str, int]
    debit: Decimal
    credit: Decimal


class Rows(Schema):
    """A page of 200 rows; each has `external_id` and the columns of its resource."""

    total: int
    page: int
    pages: int
    items: list[dict[str, Any]]


class BalanceOut(Schema):
    """`stated` is the source's closing balance, null when it states none. Debit is positive."""

    account: str
    name: str
    opening: Decimal
    debit: Decimal
    credit: Decimal
    closing: Decimal
    stated: Decimal | None
    difference: Decimal


class TrialBalanceOut(Schema):
    fiscal_year: str
    differing: int
    accounts: list[BalanceOut]


@router.get("/{administration_id}/books", response=Counts)
def counts(request: MemberRequest, administration_id: int) -> Counts:
    """Rows per resource and the sums of all entry lines: enough to tell whether a copy is complete."""
    one = books_for(request.actor, administration_id)
    debit, credit = queries.sums(one.pk)
    return Counts(rows=queries.counts(one.pk), debit=debit, credit=credit)


@router.get("/{administration_id}/books/trial-balance", response=TrialBalanceOut)
def balance(request: MemberRequest, administration_id: int, year: str = "", until: str = "") -> TrialBalanceOut:
    """Of the newest fiscal year unless `year` says otherwise; `until` a period `YYYYPP`."""
    one = books_for(request.actor, administration_id)
    year = year or next(iter(fiscal_years(one.pk)), "")
    found = trial_balance(one.pk, year, until or f"{year}99")
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
        for row in found.accounts
    ]
    return TrialBalanceOut(fiscal_year=year, differing=len(found.differing), accounts=accounts)


@router.get("/{administration_id}/books/{resource}", response=Rows)
def rows(request: MemberRequest, administration_id: int, resource: str, q: str = "", page: int = 1) -> Rows:
    """A page of a resource; `q` is looked for in every column of text. Rows deleted at the source are left out."""
    one = books_for(request.actor, administration_id)
    if resource not in queries.COLUMNS:
        raise UnknownResource
    found = queries.table(one.pk, resource, search=q, page=page)
    columns = ("external_id", *queries.COLUMNS[resource])
    items = [{name: _text(getattr(row, name)) for name in columns} for row in found.rows]
    return Rows(total=found.total, page=found.page, pages=found.pages, items=items)


def _text(value: Any) -> Any:
    """Amounts as text: a JSON number would come back as a float in most clients."""
    return format(value, "f") if isinstance(value, Decimal) else value
