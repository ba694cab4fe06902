"""Pages of one administration's books. All are read-only."""

from decimal import Decimal
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import models
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.books import export, report_export
from koppel.books.access_log import open_books_or_404
from koppel.books.export import Exported
from koppel.books.models import MODELS_BY_RESOURCE, Account, EntryLine
from koppel.books.read import labels, queries
from koppel.books.read.entry_totals import total_differs
from koppel.books.report_export import ReportTable
from koppel.books.reports.period_selection import (
    PeriodRange,
    fiscal_years,
    require_period_range,
    require_year,
)
from koppel.books.reports.period_totals import movement_table, year_result
from koppel.books.reports.trial_balance import group_by_kind, totals_of, trial_balance
from koppel.connector.period_format import format_period
from koppel.kit.tabular.export_limit import export_slot
from koppel.kit.tabular.writers import MEDIA_TYPES, Format, TooManyRows, write_table
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import (
    PAGE,
    TEXT,
    UnknownParameter,
    one_of,
    query_without,
    unknown_value,
)
from koppel.organisations.requests import AuthenticatedRequest

FORMAT = one_of(*Format)
FIRST_TABLES = ("entries", "contacts", "vat_codes")
"""Tables that have a tab; the others are in the menu beside them."""
OPTIONAL_OF_LINES = ("description", "contact", "vat_code", "project", "dimensions")
"""Columns of an entry's lines that are shown when a line has a value in them."""
HEADINGS = {
    "entries": "number",
    "contacts": "name",
    "periods": "period",
    "balances": "account",
    "company_details": "name",
}
"""The column that names a row, by table; of the others it is the code."""


@query_parameters(q=TEXT, year=TEXT, until=TEXT, page=PAGE, format=FORMAT)
def overview(request: AuthenticatedRequest, administration_id: int) -> HttpResponseBase:
    """Show the accounts with their balances."""
    administration = open_books_or_404(request.actor, administration_id)
    selected = _selected_range(request, administration)
    report = trial_balance(administration.pk, selected.year, selected.until)
    search = (request.parameters["q"] or "").strip()
    balances = {row.code: row for row in report.accounts}
    if file_format := _requested_format(request):
        table = report_export.accounts_table(administration.pk, search, selected, balances)
        return _table_response(request, administration, table, file_format)
    listing = queries.list_rows(administration.pk, "accounts", search=search, page=_page_number(request))
    rows = [(account, balances.get(account.code)) for account in listing.rows]
    return _render(
        request,
        administration,
        "books/accounts.html",
        "accounts",
        listing=listing,
        rows=rows,
        has_differences=any(balance and balance.difference for _account, balance in rows),
        search=search,
        year=selected.year,
        selected=selected,
        export_query=_export_query(request),
    )


@query_parameters(q=TEXT, year=TEXT, since=TEXT, until=TEXT, page=PAGE, format=FORMAT)
def account(request: AuthenticatedRequest, administration_id: int, code: str) -> HttpResponseBase:
    """Show the lines of an account in a fiscal year or periods of it, with a running balance."""
    administration = open_books_or_404(request.actor, administration_id)
    selected = _selected_range(request, administration)
    balance = trial_balance(administration.pk, selected.year, selected.until, selected.since)
    row_of_account = next((row for row in balance.accounts if row.code == code), None)
    account_row = Account.objects.filter(administration_id=administration.pk, code=code).first()
    if row_of_account is None and account_row is None:
        raise Http404
    search = (request.parameters["q"] or "").strip()
    opening = row_of_account.opening if row_of_account else Decimal(0)
    read_lines = partial(
        queries.account_ledger,
        administration.pk,
        code,
        selected.year,
        since=selected.since,
        until=selected.until,
        opening=opening,
        search=search,
    )
    if file_format := _requested_format(request):
        ledger = read_lines(page_size=None)
        table = report_export.lines_table(code, selected, ledger.lines)
        return _table_response(request, administration, table, file_format)
    lines = read_lines(page=_page_number(request))
    names = queries.contact_names(administration.pk, ((line.module, line.contact) for line in lines.lines))
    return _render(
        request,
        administration,
        "books/account.html",
        "accounts",
        code=code,
        account=account_row,
        balance=row_of_account,
        lines=lines,
        rows=[(line, names.get((line.module, line.contact), "")) for line in lines.lines],
        opening=opening,
        search=search,
        year=selected.year,
        selected=selected,
        export_query=_export_query(request),
    )


@query_parameters(account=TEXT, year=TEXT, since=TEXT, until=TEXT, q=TEXT, page=PAGE)
def entry(request: AuthenticatedRequest, administration_id: int, external_id: str) -> HttpResponse:
    """Show an entry with its lines, and whether its debit and credit, or its total and lines, differ.

    `account` is the account from whose card it was opened; with it, the query string is that of the card,
    else that of the list of entries.
    """
    administration = open_books_or_404(request.actor, administration_id)
    entry_and_lines = queries.entry_with_lines(administration.pk, external_id)
    if entry_and_lines is None:
        raise Http404
    booking, lines = entry_and_lines
    debit = sum((line.debit for line in lines), Decimal(0))
    credit = sum((line.credit for line in lines), Decimal(0))
    names = dict(Account.objects.filter(administration_id=administration.pk).values_list("code", "name"))
    contacts = queries.contact_names(administration.pk, ((booking.module, line.contact) for line in lines))
    card = request.parameters["account"] or ""
    if card and card not in {*names, *(line.account for line in lines)}:
        raise UnknownParameter([unknown_value("account", card)])
    return _render(
        request,
        administration,
        "books/entry.html",
        "accounts" if card else "entries",
        entry=booking,
        lines=[
            (line, names.get(line.account, ""), contacts.get((booking.module, line.contact), ""))
            for line in lines
        ],
        used={name for name in OPTIONAL_OF_LINES if any(getattr(line, name) for line in lines)}
        | ({"currency"} if any(map(_is_in_other_currency, lines)) else set()),
        debit=debit,
        credit=credit,
        difference=debit - credit,
        total_differs=total_differs(booking, lines),
        card=card,
        card_name=names.get(card, ""),
    )


def _is_in_other_currency(line: EntryLine) -> bool:
    """Return whether the amounts in currency are not just those in base currency again."""
    return line.debit_in_currency not in (None, line.debit) or line.credit_in_currency not in (
        None,
        line.credit,
    )


@query_parameters(
    year=TEXT,
    since=TEXT,
    until=TEXT,
    view=one_of("periods"),
    only=one_of("differences"),
    format=FORMAT,
)
def trial_balance_page(request: AuthenticatedRequest, administration_id: int) -> HttpResponseBase:
    """Show the trial balance, with every account checked against the source's closing balance."""
    administration = open_books_or_404(request.actor, administration_id)
    selected = _selected_range(request, administration)
    report = trial_balance(administration.pk, selected.year, selected.until, selected.since)
    by_period = request.parameters["view"] is not None
    only = request.parameters["only"] is not None
    rows = report.unmatched if only else report.accounts
    movements = movement_table(administration.pk, selected, rows) if by_period else None
    if file_format := _requested_format(request):
        table = report_export.trial_balance_table(selected, rows, only_differences=only)
        if movements:
            table = report_export.movements_table(selected, movements)
        return _table_response(request, administration, table, file_format)
    return _render(
        request,
        administration,
        "books/trial_balance.html",
        "trial_balance",
        balance=report,
        groups=[(labels.group_label(group.kind), group) for group in group_by_kind(rows)],
        totals=totals_of(rows),
        totals_of_all=totals_of(report.accounts),
        year=selected.year,
        selected=selected,
        until=selected.until,
        only_differences=only,
        movements=movements,
        periods=[format_period(period) for period in movements.periods] if movements else [],
        by_period=by_period,
        export_query=_export_query(request),
    )


@query_parameters(q=TEXT, page=PAGE, format=FORMAT)
def show_table(request: AuthenticatedRequest, administration_id: int, resource: str) -> HttpResponseBase:
    """Show a resource as a searchable table, or send it as a file."""
    administration = open_books_or_404(request.actor, administration_id)
    if resource not in export.EXPORTED:
        raise Http404
    search = (request.parameters["q"] or "").strip()
    if file_format := _requested_format(request):
        return _export(request, administration, resource, file_format, search)
    if resource not in queries.SCREEN_COLUMNS:
        raise Http404
    columns = queries.SCREEN_COLUMNS[resource]
    listing = queries.list_rows(administration.pk, resource, search=search, page=_page_number(request))
    header = [(labels.screen_heading(name), name in _numeric(resource)) for name in columns]
    rows = [
        (row, [(name, _cell_of(row, name), *column) for name, column in zip(columns, header, strict=True)])
        for row in listing.rows
    ]
    return _render(
        request,
        administration,
        "books/table.html",
        resource,
        resource=resource,
        title=labels.RESOURCES[resource],
        header=header,
        heading=HEADINGS.get(resource, "code"),
        listing=listing,
        rows=rows,
        search=search,
        is_entries=resource == "entries",
        has_budgets=resource in ("entries", "balances"),
        export_query=_export_query(request),
    )


def _numeric(resource: str) -> set[str]:
    """Return the columns of a resource that are aligned at the right: amounts and counts."""
    fields = MODELS_BY_RESOURCE[resource]._meta
    numeric = (models.DecimalField, models.IntegerField)
    return {name for name in queries.SCREEN_COLUMNS[resource] if isinstance(fields.get_field(name), numeric)}


def _cell_of(row: object, name: str) -> object:
    value = getattr(row, name)
    if name in labels.CODED:
        return labels.value_label(value)
    return format_period(value) if name == "period" else value


@query_parameters(format=FORMAT)
def export_all(request: AuthenticatedRequest, administration_id: int) -> HttpResponseBase:
    """Send all books as one ZIP."""
    administration = open_books_or_404(request.actor, administration_id)
    try:
        exported = export.export_all(
            request.actor, administration, _requested_format(request) or Format.PARQUET
        )
    except TooManyRows:
        return _too_many_rows(request, reverse("books:overview", args=[administration.pk]))
    return FileResponse(
        exported.content, as_attachment=True, filename=exported.file_name, content_type="application/zip"
    )


@query_parameters()
def result_chart(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show income and cost per period of the newest year, as a card of the Overview."""
    administration = open_books_or_404(request.actor, administration_id)
    year = next(iter(fiscal_years(administration.pk)), "")
    context = {
        "administration": administration,
        "year": year,
        "result": year_result(administration.pk, year) if year else None,
    }
    return render(request, "books/result_chart.html", context)


def _render(
    request: HttpRequest, administration: Administration, template: str, active: str, **context: Any
) -> HttpResponse:
    counts = queries.counts(administration.pk)
    more = [key for key in queries.SCREEN_COLUMNS if key not in ("accounts", *FIRST_TABLES)]
    frame = {
        "administration": administration,
        "tab": "books",
        "books_active": active,
        "books_tabs": [(key, labels.RESOURCES[key], counts.get(key, 0)) for key in FIRST_TABLES],
        "books_more": [(key, labels.RESOURCES[key], counts.get(key, 0)) for key in more],
        "books_more_label": labels.RESOURCES[active] if active in more else "",
        "books_more_current": "page" if active in more else False,
        "years": list(fiscal_years(administration.pk)),
    }
    return render(request, template, {**frame, **context})


def _selected_range(request: AuthenticatedRequest, administration: Administration) -> PeriodRange:
    """Return the selected periods; by default the newest fiscal year. Raises `UnknownParameter`."""
    parameters = request.parameters
    year = require_year(administration.pk, parameters["year"] or "")
    since, until = (parameters.get(name) or "" for name in ("since", "until"))
    return require_period_range(administration.pk, year, since, until)


def _page_number(request: AuthenticatedRequest) -> int:
    return request.parameters["page"] or 1


def _export_query(request: AuthenticatedRequest) -> str:
    """Return the query string of this page for its export: all that chooses rows, without page and format."""
    return query_without(request, "page", "format")


def _table_response(
    request: AuthenticatedRequest, administration: Administration, table: ReportTable, file_format: Format
) -> HttpResponseBase:
    try:
        with export_slot(administration.organisation_id):
            content = write_table(file_format, table.columns, table.rows, title=table.title)
    except TooManyRows:
        return _too_many_rows(request, request.path)
    export.record_export(request.actor, administration, [table.name], file_format)
    name = f"{export.file_stem(administration)}-{table.name}.{file_format.extension}"
    return _file_response(Exported(name, content), file_format)


def _requested_format(request: AuthenticatedRequest) -> Format | None:
    requested = request.parameters["format"]
    return Format(requested) if requested else None


def _export(
    request: AuthenticatedRequest,
    administration: Administration,
    resource: str,
    file_format: Format,
    search: str,
) -> HttpResponseBase:
    try:
        return _file_response(
            export.export_resource(request.actor, administration, resource, file_format, search=search),
            file_format,
        )
    except TooManyRows:
        return _too_many_rows(request, request.path)


def _too_many_rows(request: HttpRequest, back_to: str) -> HttpResponseRedirect:
    messages.error(request, _("This table is too large for Excel. Choose CSV or Parquet."))
    return HttpResponseRedirect(back_to)


def _file_response(exported: Exported, file_format: Format) -> FileResponse:
    return FileResponse(
        exported.content,
        as_attachment=True,
        filename=exported.file_name,
        content_type=MEDIA_TYPES[file_format],
    )
