"""Queries of one administration's books.

The caller has checked that the actor may see the administration (`administrations.access`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.db import connection as django_connection
from django.db.models import Q, Sum

from koppel.books.models import ACTUAL, MODELS_BY_RESOURCE, POSTED, BookRow, Contact, Entry, EntryLine
from koppel.kit.database.sql_files import load_statements

PAGE_SIZE = 200
_SQL = load_statements("koppel.books")
SCREEN_COLUMNS: dict[str, tuple[str, ...]] = {
    "accounts": ("code", "name", "kind", "account_class", "active", "currency", "vat_code"),
    "entries": ("booked_on", "period", "journal", "number", "description", "status", "debit_total"),
    "contacts": (
        "kind",
        "code",
        "name",
        "status",
        "number",
        "vat_number",
        "email",
        "phone",
        "city",
        "country",
    ),
    "vat_codes": ("code", "name", "rate", "direction", "reverse_charge", "valid_until"),
    "journals": ("code", "name", "ledger", "module", "balance_type"),
    "periods": ("period", "fiscal_year", "number", "name", "starts_on", "ends_on", "closed"),
    "cost_codes": ("dimension", "code", "name", "active"),
    "projects": ("code", "name", "status", "customer", "starts_on", "ends_on"),
    "payment_terms": ("code", "name", "days"),
    "balances": ("account", "period", "branch", "opening", "debit", "credit", "closing"),
    "company_details": (
        "kind",
        "name",
        "number",
        "vat_number",
        "country",
        "base_currency",
        "address",
        "city",
    ),
}
"""The columns of each table on a page, in order. The search looks in those with text."""
_ORDER: dict[str, tuple[str, ...]] = {
    "cost_codes": ("dimension", "code"),
    "contacts": ("name", "code"),
    "entries": ("-booked_on", "-external_id"),
    "balances": ("account", "period"),
    "periods": ("-period",),
    "company_details": ("-kind", "name"),
}


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One page of a table."""

    rows: Sequence[BookRow]
    total: int
    """All rows that match the search."""
    page: int
    pages: int


@dataclass(frozen=True)
class LedgerLine:
    """A line of an account's ledger."""

    entry: str
    booked_on: date
    period: str
    journal: str
    number: str
    status: str
    balance_type: str
    description: str
    reference: str
    contact: str
    debit: Decimal
    credit: Decimal
    balance: Decimal
    """Runs from the opening balance of the fiscal year."""


@dataclass(frozen=True, kw_only=True)
class AccountLedger:
    lines: Sequence[LedgerLine]
    total: int
    page: int
    pages: int


def list_rows(
    administration_id: int, resource: str, *, search: str = "", page: int = 1, show_deleted: bool = False
) -> Listing:
    """Return a page of a resource; `search` looks in the text columns that pages show.

    Raises `KeyError` for an unknown resource.
    """
    model = MODELS_BY_RESOURCE[resource]
    queryset = model._default_manager.filter(administration_id=administration_id).defer("raw", "content_hash")
    if not show_deleted:
        queryset = queryset.filter(deleted_at=None)
    if search:
        queryset = queryset.filter(_search_condition(resource, search))
    ordered = queryset.order_by(*_ORDER.get(resource, ("code",)), "external_id")
    rows = Paginator(ordered, PAGE_SIZE).get_page(page)
    return Listing(
        rows=list(rows), total=rows.paginator.count, page=rows.number, pages=rows.paginator.num_pages
    )


def all_rows(
    administration_id: int, resource: str, columns: Sequence[str], *, search: str = ""
) -> Iterator[tuple[Any, ...]]:
    """Yield every row of a resource that matches the search, as the values of `columns`."""
    queryset = MODELS_BY_RESOURCE[resource]._default_manager.filter(
        administration_id=administration_id, deleted_at=None
    )
    if search:
        queryset = queryset.filter(_search_condition(resource, search))
    ordered = queryset.order_by(*_ORDER.get(resource, ("code",)), "external_id")
    yield from ordered.values_list(*columns).iterator(chunk_size=5000)


def counts(administration_id: int) -> dict[str, int]:
    """Return the number of rows of each resource, without those deleted at the source."""
    parts = [
        _SQL["count_rows"].format(resource=f"'{key}'", table=model._meta.db_table)
        for key, model in MODELS_BY_RESOURCE.items()
    ]
    with django_connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), {"administration": administration_id})
        return dict(cursor.fetchall())


def debit_credit_totals(administration_id: int) -> tuple[Decimal, Decimal]:
    """Return the debit and credit totals of all entry lines."""
    lines = EntryLine.objects.filter(administration_id=administration_id, deleted_at=None)
    totals = lines.aggregate(debit=Sum("debit"), credit=Sum("credit"))
    return totals["debit"] or Decimal(0), totals["credit"] or Decimal(0)


def entry_with_lines(administration_id: int, external_id: str) -> tuple[Entry, list[EntryLine]] | None:
    """Return an entry and its lines in their order; None when it does not exist."""
    key = {"administration_id": administration_id}
    entry = Entry.objects.filter(**key, external_id=external_id).first()
    if entry is None:
        return None
    lines = EntryLine.objects.filter(**key, entry=external_id, deleted_at=None).order_by(
        "line_number", "external_id"
    )
    return entry, list(lines)


def contact_names(administration_id: int, codes: Iterable[str | None]) -> dict[str, str]:
    """Return the names of these contacts by code; unknown ones are absent."""
    contacts = Contact.objects.filter(
        administration_id=administration_id, code__in={code for code in codes if code}
    )
    return dict(contacts.order_by("deleted_at").values_list("code", "name"))


def account_ledger(
    administration_id: int,
    account: str,
    fiscal_year: str,
    *,
    opening: Decimal,
    search: str = "",
    page: int = 1,
    page_size: int | None = PAGE_SIZE,
) -> AccountLedger:
    """Return the account's lines in a fiscal year, oldest first, with a balance running from `opening`."""
    values: dict[str, Any] = {
        "administration": administration_id,
        "account": account,
        "year": fiscal_year,
        "posted": POSTED,
        "actual": ACTUAL,
        "pattern": f"%{_escape_like(search)}%",
        "search": search,
        "limit": page_size,
        "offset": (max(page, 1) - 1) * (page_size or 0),
    }
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL["list_account_lines"], values)
        rows = cursor.fetchall()
    total = int(rows[0][14]) if rows else 0
    lines = [LedgerLine(*(*row[:12], opening + row[12])) for row in rows]
    return AccountLedger(
        lines=lines, total=total, page=max(page, 1), pages=Paginator(range(total), PAGE_SIZE).num_pages
    )


def _search_condition(resource: str, search: str) -> Q:
    model = MODELS_BY_RESOURCE[resource]
    texts = [
        name
        for name in SCREEN_COLUMNS[resource]
        if model._meta.get_field(name).get_internal_type() == "TextField"
    ]
    condition = Q()
    for name in texts:
        condition |= Q(**{f"{name}__icontains": search})
    return condition


def _escape_like(search: str) -> str:
    return search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
