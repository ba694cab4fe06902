"""Queries of one administration's books.

The caller has checked that the actor may see the administration (`administrations.access`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.paginator import Paginator
from django.db import connection as django_connection
from django.db.models import Q, Sum

from koppel.books.models import ACTUAL, MODELS_BY_RESOURCE, POSTED, BookRow, Contact, Entry, EntryLine
from koppel.connector.rows import CONTACT_KINDS
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


@dataclass(frozen=True)
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
    module: str
    debit: Decimal
    credit: Decimal
    balance: Decimal
    """Runs from the opening balance of the fiscal year."""


@dataclass(frozen=True)
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
    return Listing(list(rows), rows.paginator.count, rows.number, rows.paginator.num_pages)


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
    """Return an entry and its lines in their order; None when it does not exist.

    Of an entry that was deleted at the source, the lines are those that it had then.
    """
    key = {"administration_id": administration_id}
    entry = Entry.objects.filter(**key, external_id=external_id).first()
    if entry is None:
        return None
    present = Q(deleted_at=None)
    if entry.deleted_at:
        present |= Q(deleted_at__gte=entry.deleted_at)
    lines = EntryLine.objects.filter(present, **key, entry=external_id)
    return entry, list(lines.order_by("line_number", "external_id"))


def contact_names(
    administration_id: int, contacts: Iterable[tuple[str, str | None]]
) -> dict[tuple[str, str | None], str]:
    """Return the names of contacts by the module of the entry and the code of the contact.

    The module tells a customer from a supplier with the same code. Where it does not, a code that both have
    is absent, as is an unknown one.
    """
    references = set(contacts)
    names: dict[str | None, dict[str, str]] = {}
    stored = Contact.objects.filter(
        administration_id=administration_id, code__in={code for _module, code in references if code}
    )
    for code, kind, name in stored.order_by("deleted_at").values_list("code", "kind", "name"):
        names.setdefault(code, {})[kind] = name
    resolved = {key: _name_of_contact(key[0], names.get(key[1], {})) for key in references}
    return {key: name for key, name in resolved.items() if name}


def _name_of_contact(module: str, names: Mapping[str, str]) -> str:
    """Return the name among those of one code, by kind; '' when the kind is open."""
    if kind := CONTACT_KINDS.get(module):
        return names.get(kind, "")
    return next(iter(names.values())) if len(names) == 1 else ""


def account_ledger(
    administration_id: int,
    account: str,
    fiscal_year: str,
    *,
    opening: Decimal,
    since: str = "",
    until: str = "",
    search: str = "",
    page: int = 1,
    page_size: int | None = PAGE_SIZE,
) -> AccountLedger:
    """Return the account's lines in a fiscal year, oldest first, with a balance running from `opening`.

    `since` and `until` are the first and last period (`YYYYPP`), '' those of the year.
    `search` looks in the document, the description, the reference, and the code and name of the contact.
    """
    values: dict[str, Any] = {
        "administration": administration_id,
        "account": account,
        "year": fiscal_year,
        "since": since,
        "until": until or f"{fiscal_year}99",
        "posted": POSTED,
        "actual": ACTUAL,
        "pattern": f"%{_escape_like(search)}%",
        "search": search,
        "kinds": list(CONTACT_KINDS.values()),
        "modules": list(CONTACT_KINDS),
        "limit": page_size,
        "offset": (max(page, 1) - 1) * (page_size or 0),
    }
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL["list_account_lines"], values)
        rows = cursor.fetchall()
    total = int(rows[0][15]) if rows else 0
    lines = [LedgerLine(*(*row[:13], opening + row[13])) for row in rows]
    return AccountLedger(lines, total, max(page, 1), Paginator(range(total), PAGE_SIZE).num_pages)


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
