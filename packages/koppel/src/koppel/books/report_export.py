"""Tables of the account pages for export: balances, trial balance, movements per period, account lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from koppel.books.export import labelled_column
from koppel.books.read import labels, queries
from koppel.books.read.queries import LedgerLine
from koppel.books.reports.period_selection import PeriodRange
from koppel.books.reports.period_totals import MovementTable
from koppel.books.reports.trial_balance import AccountBalance
from koppel.connector.period_format import format_period
from koppel.kit.tabular.writers import Cell, ColumnType, FileColumn

BALANCE_COLUMNS = ("opening", "debit", "credit", "closing")
ACCOUNT_COLUMNS = ("code", "name", "kind")
LINE_COLUMNS = ("period", "journal", "number", "status", "balance_type", "description", "contact")


@dataclass(frozen=True, kw_only=True)
class ReportTable:
    """A report as a table."""

    name: str
    """The end of the file's name; it stands in the audit log too."""
    title: str
    """The name of the Excel sheet."""
    columns: Sequence[FileColumn]
    rows: Iterable[Sequence[Cell]]


def accounts_table(
    administration_id: int, search: str, selected: PeriodRange, balances: Mapping[str, AccountBalance]
) -> ReportTable:
    """Return the accounts that match the search with their balances. One without balances has no amounts."""

    def rows() -> Iterable[Sequence[Cell]]:
        for code, name, kind in queries.all_rows(
            administration_id, "accounts", ACCOUNT_COLUMNS, search=search
        ):
            balance = balances.get(code)
            yield [code, name, kind, *(getattr(balance, key) if balance else None for key in BALANCE_COLUMNS)]

    columns = [*map(labelled_column, ACCOUNT_COLUMNS), *_balance_columns(selected)]
    title = str(labels.RESOURCES["accounts"])
    return ReportTable(name=f"accounts-{selected.file_part}", title=title, columns=columns, rows=rows())


def trial_balance_table(
    selected: PeriodRange, accounts: Iterable[AccountBalance], *, only_differences: bool = False
) -> ReportTable:
    """Return the balances of a range of periods. Name, sheet and headings tell a part of a year."""
    columns = [
        *map(labelled_column, ("account", "name")),
        *_balance_columns(selected),
        FileColumn(key="stated", title=_("According to the source"), type=ColumnType.AMOUNT),
        FileColumn(key="difference", title=_("Difference"), type=ColumnType.AMOUNT),
    ]
    rows = (
        [row.code, row.name, *(getattr(row, key) for key in BALANCE_COLUMNS), row.stated, row.difference]
        for row in accounts
    )
    name = "trial-balance-differences" if only_differences else "trial-balance"
    return ReportTable(
        name=f"{name}-{selected.file_part}", title=_trial_balance_title(selected), columns=columns, rows=rows
    )


def movements_table(selected: PeriodRange, movements: MovementTable) -> ReportTable:
    """Return the movement of each account with a column for each period, between its balances."""
    opening, *_moved, closing = _balance_columns(selected)
    columns = [
        *map(labelled_column, ("account", "name")),
        opening,
        *(
            FileColumn(key=period, title=format_period(period), type=ColumnType.AMOUNT)
            for period in movements.periods
        ),
        closing,
    ]
    rows = (
        [row.account.code, row.account.name, row.account.opening, *row.amounts, row.account.closing]
        for row in movements.rows
    )
    name = f"trial-balance-periods-{selected.file_part}"
    return ReportTable(name=name, title=_trial_balance_title(selected), columns=columns, rows=rows)


def lines_table(code: str, selected: PeriodRange, lines: Iterable[LedgerLine]) -> ReportTable:
    """Return the lines of an account with the running balance."""
    columns = [
        labelled_column("booked_on", ColumnType.DATE),
        *map(labelled_column, LINE_COLUMNS),
        *_amounts("debit", "credit"),
        FileColumn(key="balance", title=_("Balance"), type=ColumnType.AMOUNT),
    ]
    rows = (
        [line.booked_on, *(getattr(line, key) for key in LINE_COLUMNS), line.debit, line.credit, line.balance]
        for line in lines
    )
    safe_code = "".join(letter if letter.isalnum() else "-" for letter in code)
    title = f"{_('Account')} {code}" if selected.is_whole_year else f"{code} {selected.title}"
    return ReportTable(
        name=f"account-{safe_code}-{selected.file_part}", title=title, columns=columns, rows=rows
    )


def _trial_balance_title(selected: PeriodRange) -> str:
    """Return the name of the sheet; Excel allows 31 characters, so that a range stands alone."""
    return f"{_('Trial balance')} {selected.title}" if selected.is_whole_year else selected.title


def _balance_columns(selected: PeriodRange) -> list[FileColumn]:
    """Return the columns of balances; those of a part of a year name its first and last period."""
    opening, debit, credit, closing = _amounts(*BALANCE_COLUMNS)
    if not selected.is_whole_year:
        opening = replace(opening, title=f"{opening.title} {format_period(selected.first)}")
        closing = replace(closing, title=f"{closing.title} {format_period(selected.last)}")
    return [opening, debit, credit, closing]


def _amounts(*names: str) -> list[FileColumn]:
    return [labelled_column(name, ColumnType.AMOUNT) for name in names]
