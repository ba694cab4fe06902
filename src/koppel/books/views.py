"""Pages of one administration's books. They read; nothing here changes anything."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from koppel.administrations.doors import administration_or_404
from koppel.administrations.models import Administration
from koppel.books import chart, labels, queries
from koppel.books.export import Cell, csv_lines
from koppel.books.models import Account
from koppel.books.trial_balance import (
    TrialBalance,
    fiscal_years,
    movement_by_period,
    result_by_period,
    trial_balance,
)
from koppel.web.doors import MemberRequest

EXPORT_ROWS_MAX = 100_000


def overview(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Accounts with their balances: where one begins."""
    one = administration_or_404(request.actor, administration_id)
    year, until = _year_and_period(request, one)
    found = trial_balance(one.pk, year, until)
    search = request.GET.get("q", "").strip()
    balances = {row.code: row for row in found.accounts}
    listing = queries.table(one.pk, "accounts", search=search, page=_page(request))
    rows = [(account, balances.get(account.code)) for account in listing.rows]  # type: ignore[attr-defined]
    return _page_of(
        request, one, "books/accounts.html", "accounts", listing=listing, rows=rows, search=search, year=year
    )


def account(request: MemberRequest, administration_id: int, code: str) -> HttpResponse:
    """The lines of an account in a fiscal year, with a running balance."""
    one = administration_or_404(request.actor, administration_id)
    year, _until = _year_and_period(request, one)
    balance = trial_balance(one.pk, year, f"{year}99")
    own = next((row for row in balance.accounts if row.code == code), None)
    known = Account.objects.filter(administration_id=one.pk, code=code).first()
    if own is None and known is None:
        raise Http404
    search = request.GET.get("q", "").strip()
    opening = own.opening if own else Decimal(0)
    lines = queries.lines_of_account(one.pk, code, year, opening=opening, search=search, page=_page(request))
    return _page_of(
        request, one, "books/account.html", "accounts",
        code=code, account=known, balance=own, lines=lines, opening=opening, search=search, year=year,
    )  # fmt: skip


def entry(request: MemberRequest, administration_id: int, external_id: str) -> HttpResponse:
    """One entry with all its lines; says so when debit and credit differ."""
    one = administration_or_404(request.actor, administration_id)
    found = queries.entry_with_lines(one.pk, external_id)
    if found is None:
        raise Http404
    booking, lines = found
    debit, credit = sum((line.debit for line in lines), Decimal(0)), sum((line.credit for line in lines), Decimal(0))
    names = dict(Account.objects.filter(administration_id=one.pk).values_list("code", "name"))
    shown = [(line, names.get(line.account, "")) for line in lines]
    return _page_of(
        request, one, "books/entry.html", "entries",
        entry=booking, lines=shown, debit=debit, credit=credit, difference=debit - credit,
    )  # fmt: skip


def trial_balance_page(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Opening, movement, closing; every account checked against the source's closing balance."""
    one = administration_or_404(request.actor, administration_id)
    year, until = _year_and_period(request, one)
    found = trial_balance(one.pk, year, until)
    if request.GET.get("format") == "csv":
        return _csv(f"trial-balance-{year}", _trial_balance_header(), _trial_balance_rows(found))
    by_period = request.GET.get("view") == "periods"
    periods, movements = _per_period(one.pk, year, found) if by_period else ([], [])
    only = request.GET.get("only") == "differences"
    shown = found.differing if only else found.accounts
    totals = {key: found.total(key) for key in ("opening", "debit", "credit", "movement", "closing")}
    return _page_of(
        request, one, "books/trial_balance.html", "trial_balance",
        balance=found, shown=shown, totals=totals, year=year, until=until, only_differences=only,
        periods=periods, movements=movements, by_period=by_period,
    )  # fmt: skip


def table(request: MemberRequest, administration_id: int, resource: str) -> HttpResponse:
    """Any resource as a searchable table, or as CSV."""
    if resource not in queries.COLUMNS:
        raise Http404
    one = administration_or_404(request.actor, administration_id)
    search = request.GET.get("q", "").strip()
    columns = queries.COLUMNS[resource]
    header = [str(labels.COLUMNS.get(name, name)) for name in columns]
    if request.GET.get("format") == "csv":
        return _csv(resource, header, queries.all_rows(one.pk, resource, search=search, limit=EXPORT_ROWS_MAX))
    listing = queries.table(one.pk, resource, search=search, page=_page(request))
    rows = [(row, [getattr(row, name) for name in columns]) for row in listing.rows]
    return _page_of(
        request, one, "books/table.html", resource,
        resource=resource, title=labels.RESOURCES[resource], header=header, columns=columns,
        listing=listing, rows=rows, search=search,
    )  # fmt: skip


def result_chart(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Income and cost per period of the newest year, as a card of the Overview."""
    one = administration_or_404(request.actor, administration_id)
    years = fiscal_years(one.pk)
    year = next(iter(years), "")
    results = result_by_period(one.pk, year) if year else []
    context = {"administration": one, "year": year, "results": results, "chart": chart.bars(results)}
    return render(request, "books/result_chart.html", context)


def _page_of(request: HttpRequest, one: Administration, template: str, active: str, **context: Any) -> HttpResponse:
    years = fiscal_years(one.pk)
    frame = {
        "administration": one,
        "tab": "books",
        "books_active": active,
        "books_tables": [(key, labels.RESOURCES[key]) for key in queries.COLUMNS if key != "accounts"],
        "years": list(years),
        "counts": queries.counts(one.pk),
    }
    return render(request, template, {**frame, **context})


def _year_and_period(request: HttpRequest, one: Administration) -> tuple[str, str]:
    """The fiscal year and last period asked for, else the newest there is."""
    years = fiscal_years(one.pk)
    year = request.GET.get("year", "")
    if year not in years:
        year = next(iter(years), "")
    until = request.GET.get("until", "")
    if not (until.isdigit() and len(until) == 6 and until.startswith(year)):
        until = f"{year}99"
    return year, until


def _page(request: HttpRequest) -> int:
    asked = request.GET.get("page", "1")
    return int(asked) if asked.isdecimal() and len(asked) < 7 else 1


def _per_period(
    administration_id: int, year: str, found: TrialBalance
) -> tuple[list[str], list[tuple[str, str, list[Decimal | None]]]]:
    moves = movement_by_period(administration_id, year)
    periods = sorted({period for _account, period in moves})
    rows = [(one.code, one.name, [moves.get((one.code, period)) for period in periods]) for one in found.accounts]
    return periods, rows


def _trial_balance_header() -> list[str]:
    keys = ("account", "name", "opening", "debit", "credit", "closing")
    return [str(labels.COLUMNS[key]) for key in keys] + ["source", "difference"]


def _trial_balance_rows(found: TrialBalance) -> Iterable[list[Cell]]:
    for one in found.accounts:
        yield [one.code, one.name, one.opening, one.debit, one.credit, one.closing, one.stated, one.difference]


def _csv(name: str, header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> HttpResponse:
    response = HttpResponse("".join(csv_lines(header, rows)), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response
