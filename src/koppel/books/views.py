"""Pages of one administration's books. They read; nothing here changes anything."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.books import chart, exports, labels, queries
from koppel.books.exports import Exported
from koppel.books.models import Account
from koppel.books.opening import books_or_404
from koppel.books.periods_asked import require_period, require_year
from koppel.books.trial_balance import (
    TrialBalance,
    fiscal_years,
    movement_by_period,
    result_by_period,
    trial_balance,
)
from koppel.kit.parameters import PAGE, TEXT, one_of
from koppel.kit.periods import written
from koppel.kit.table_files import MEDIA_TYPES, Cell, Column, Format, Kind, TooManyRows, write_table
from koppel.web.doors import MemberRequest, takes

FORMAT = one_of(*Format)


@takes(q=TEXT, year=TEXT, until=TEXT, page=PAGE)
def overview(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Accounts with their balances: where one begins."""
    one = books_or_404(request.actor, administration_id)
    year, until = _year_and_period(request, one)
    found = trial_balance(one.pk, year, until)
    search = (request.parameters["q"] or "").strip()
    balances = {row.code: row for row in found.accounts}
    listing = queries.table(one.pk, "accounts", search=search, page=_page(request))
    rows = [(account, balances.get(account.code)) for account in listing.rows]  # type: ignore[attr-defined]
    return _page_of(
        request,
        one,
        "books/accounts.html",
        "accounts",
        listing=listing,
        rows=rows,
        search=search,
        year=year,
        accounts_path=reverse("books:table", args=[one.pk, "accounts"]),
    )


@takes(q=TEXT, year=TEXT, page=PAGE)
def account(request: MemberRequest, administration_id: int, code: str) -> HttpResponse:
    """The lines of an account in a fiscal year, with a running balance."""
    one = books_or_404(request.actor, administration_id)
    year, _until = _year_and_period(request, one)
    balance = trial_balance(one.pk, year, f"{year}99")
    own = next((row for row in balance.accounts if row.code == code), None)
    known = Account.objects.filter(administration_id=one.pk, code=code).first()
    if own is None and known is None:
        raise Http404
    search = (request.parameters["q"] or "").strip()
    opening = own.opening if own else Decimal(0)
    lines = queries.lines_of_account(one.pk, code, year, opening=opening, search=search, page=_page(request))
    return _page_of(
        request, one, "books/account.html", "accounts",
        code=code, account=known, balance=own, lines=lines, opening=opening, search=search, year=year,
    )  # fmt: skip


def entry(request: MemberRequest, administration_id: int, external_id: str) -> HttpResponse:
    """One entry with all its lines; says so when debit and credit differ."""
    one = books_or_404(request.actor, administration_id)
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


@takes(year=TEXT, until=TEXT, view=one_of("periods"), only=one_of("differences"), format=FORMAT)
def trial_balance_page(request: MemberRequest, administration_id: int) -> HttpResponseBase:
    """Opening, movement, closing; every account checked against the source's closing balance."""
    one = books_or_404(request.actor, administration_id)
    year, until = _year_and_period(request, one)
    found = trial_balance(one.pk, year, until)
    if file_format := _format(request):
        content = write_table(file_format, _trial_balance_columns(), _trial_balance_rows(found))
        name = f"{exports.file_stem(one)}-trial-balance-{year}.{file_format}"
        exports.record_export(request.actor, one, ["trial_balance"], file_format)
        return _download(Exported(name, content), file_format)
    by_period = request.parameters["view"] is not None
    periods, movements = _per_period(one.pk, year, found) if by_period else ([], [])
    only = request.parameters["only"] is not None
    shown = found.differing if only else found.accounts
    totals = {key: found.total(key) for key in ("opening", "debit", "credit", "movement", "closing")}
    return _page_of(
        request, one, "books/trial_balance.html", "trial_balance",
        balance=found, shown=shown, totals=totals, year=year, until=until, only_differences=only,
        periods=periods, movements=movements, by_period=by_period, export_query=f"year={year}&",
    )  # fmt: skip


@takes(q=TEXT, page=PAGE, format=FORMAT)
def table(request: MemberRequest, administration_id: int, resource: str) -> HttpResponseBase:
    """Any resource as a searchable table, or as a file."""
    one = books_or_404(request.actor, administration_id)
    if resource not in exports.EXPORTED:
        raise Http404
    search = (request.parameters["q"] or "").strip()
    if file_format := _format(request):
        return _export(request, one, resource, file_format, search)
    if resource not in queries.COLUMNS:
        raise Http404
    columns = queries.COLUMNS[resource]
    listing = queries.table(one.pk, resource, search=search, page=_page(request))
    rows = [(row, [_cell_of(row, name) for name in columns]) for row in listing.rows]
    numbers = [any(isinstance(cells[place], Decimal) for _row, cells in rows) for place in range(len(columns))]
    header = [
        (str(labels.COLUMNS.get(name, name)), is_number) for name, is_number in zip(columns, numbers, strict=True)
    ]
    return _page_of(
        request, one, "books/table.html", resource,
        resource=resource, title=labels.RESOURCES[resource], header=header, columns=columns,
        listing=listing, rows=rows, search=search, is_entries=resource == "entries",
        export_query=f"{urlencode({'q': search})}&" if search else "",
    )  # fmt: skip


def _cell_of(row: object, name: str) -> object:
    value = getattr(row, name)
    return written(value) if name == "period" else value


@takes(format=FORMAT)
def everything(request: MemberRequest, administration_id: int) -> HttpResponseBase:
    """All books as one ZIP."""
    one = books_or_404(request.actor, administration_id)
    try:
        exported = exports.export_all(request.actor, one, _format(request) or Format.PARQUET)
    except TooManyRows:
        return _too_many_rows(request, reverse("books:overview", args=[one.pk]))
    return FileResponse(
        exported.content, as_attachment=True, filename=exported.file_name, content_type="application/zip"
    )


def result_chart(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Income and cost per period of the newest year, as a card of the Overview."""
    one = books_or_404(request.actor, administration_id)
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


def _year_and_period(request: MemberRequest, one: Administration) -> tuple[str, str]:
    """The fiscal year and last period asked for, else the newest there is. Raises `UnknownParameter`."""
    year = require_year(one.pk, request.parameters["year"] or "")
    return year, require_period(year, request.parameters.get("until") or "")


def _page(request: MemberRequest) -> int:
    return request.parameters["page"] or 1


def _per_period(
    administration_id: int, year: str, found: TrialBalance
) -> tuple[list[str], list[tuple[str, str, list[Decimal | None]]]]:
    moves = movement_by_period(administration_id, year)
    periods = sorted({period for _account, period in moves})
    rows = [(one.code, one.name, [moves.get((one.code, period)) for period in periods]) for one in found.accounts]
    return periods, rows


def _trial_balance_columns() -> list[Column]:
    texts = [Column(key, str(labels.COLUMNS[key])) for key in ("account", "name")]
    own = [Column(key, str(labels.COLUMNS[key]), Kind.AMOUNT) for key in ("opening", "debit", "credit", "closing")]
    stated = [
        Column("stated", _("According to the source"), Kind.AMOUNT),
        Column("difference", _("Difference"), Kind.AMOUNT),
    ]
    return texts + own + stated


def _trial_balance_rows(found: TrialBalance) -> Iterable[list[Cell]]:
    for one in found.accounts:
        yield [one.code, one.name, one.opening, one.debit, one.credit, one.closing, one.stated, one.difference]


def _format(request: MemberRequest) -> Format | None:
    asked = request.parameters["format"]
    return Format(asked) if asked else None


def _export(
    request: MemberRequest, one: Administration, resource: str, file_format: Format, search: str
) -> HttpResponseBase:
    try:
        return _download(exports.export_resource(request.actor, one, resource, file_format, search=search), file_format)
    except TooManyRows:
        return _too_many_rows(request, request.path)


def _too_many_rows(request: HttpRequest, back_to: str) -> HttpResponseRedirect:
    messages.error(request, _("An Excel sheet is too small for this table. Choose CSV or Parquet."))
    return HttpResponseRedirect(back_to)


def _download(exported: Exported, file_format: Format) -> FileResponse:
    return FileResponse(
        exported.content, as_attachment=True, filename=exported.file_name, content_type=MEDIA_TYPES[file_format]
    )
