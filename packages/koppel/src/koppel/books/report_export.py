"""Tables of the account pages for export: balances, trial balance, movements per period, account lines."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.translation import gettext as _

from koppel.books.export import labelled_column
from koppel.books.read import labels, queries
from koppel.books.read.queries import LedgerLine
from koppel.books.reports.trial_balance import AccountBalance
from koppel.connector.period_format import format_period
from koppel.kit.tabular.writers import Cell, ColumnType, FileColumn

BALANCE_COLUMNS = ("opening", "debit", "credit", "closing")
ACCOUNT_COLUMNS = ("code", "name", "kind")
LINE_COLUMNS = ("period", "journal", "number", "status", "balance_type", "description", "contact")
MovementRow = tuple[str, str, Sequence[Decimal | None]]


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
    administration_id: int, search: str, year: str, balances: Mapping[str, AccountBalance]
) -> ReportTable:
    """Return the accounts that match the search with their balances. One without balances has no amounts."""

    def rows() -> Iterable[Sequence[Cell]]:
        for code, name, kind in queries.all_rows(
            administration_id, "accounts", ACCOUNT_COLUMNS, search=search
        ):
            balance = balances.get(code)
            yield [code, name, kind, *(getattr(balance, key) if balance else None for key in BALANCE_COLUMNS)]

    columns = [*map(labelled_column, ACCOUNT_COLUMNS), *_amounts(*BALANCE_COLUMNS)]
    return ReportTable(
        name=f"accounts-{year}", title=str(labels.RESOURCES["accounts"]), columns=columns, rows=rows()
    )


def trial_balance_table(year: str, accounts: Iterable[AccountBalance]) -> ReportTable:
    columns = [
        *map(labelled_column, ("account", "name")),
        *_amounts(*BALANCE_COLUMNS),
        FileColumn(key="stated", title=_("According to the source"), type=ColumnType.AMOUNT),
        FileColumn(key="difference", title=_("Difference"), type=ColumnType.AMOUNT),
    ]
    rows = (
        [row.code, row.name, *(getattr(row, key) for key in BALANCE_COLUMNS), row.stated, row.difference]
        for row in accounts
    )
    return ReportTable(
        name=f"trial-balance-{year}", title=f"{_('Trial balance')} {year}", columns=columns, rows=rows
    )


def movements_table(year: str, periods: Sequence[str], movements: Iterable[MovementRow]) -> ReportTable:
    """Return the movement of each account with a column for each period."""
    columns = [
        *map(labelled_column, ("account", "name")),
        *(FileColumn(key=period, title=format_period(period), type=ColumnType.AMOUNT) for period in periods),
    ]
    rows = ([code, name, *amounts] for code, name, amounts in movements)
    return ReportTable(
        name=f"trial-balance-periods-{year}", title=f"{_('Trial balance')} {year}", columns=columns, rows=rows
    )


def lines_table(code: str, year: str, lines: Iterable[LedgerLine]) -> ReportTable:
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
    return ReportTable(
        name=f"account-{safe_code}-{year}", title=f"{_('Account')} {code}", columns=columns, rows=rows
    )


def _amounts(*names: str) -> list[FileColumn]:
    return [labelled_column(name, ColumnType.AMOUNT) for name in names]
