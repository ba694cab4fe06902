"""The row types that connectors normalise records to. Each field is a column in `books`, in this order.

Amounts are `Decimal`, exactly as the source wrote them. Dates are the source's business dates, without time
zone. Periods are `YYYYPP`, PP being the number of the period in its fiscal year.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A typed row without its key; the record carries `external_id`."""


class CompanyRow(Row, frozen=True, kw_only=True, gc=False):
    """Company details as the source states them; one row per organisation or branch of the company."""

    name: str
    kind: str | None = None
    """company or branch; None where the source does not say."""
    number: str | None = None
    vat_number: str | None = None
    country: str | None = None
    base_currency: str | None = None
    address: str | None = None
    city: str | None = None
    industry_code: str | None = None


class AccountRow(Row, frozen=True, kw_only=True, gc=False):
    """A ledger account."""

    code: str
    name: str
    kind: str
    """asset, liability, income or expense."""
    account_class: str | None = None
    active: bool = True
    currency: str | None = None
    vat_code: str | None = None


class VatCodeRow(Row, frozen=True, kw_only=True, gc=False):
    """A rate and direction of VAT."""

    code: str
    name: str
    rate: Decimal | None = None
    """In per cent, as of the newest schedule."""
    direction: str | None = None
    """output, input or both."""
    reverse_charge: bool = False
    valid_until: date | None = None


class JournalRow(Row, frozen=True, kw_only=True, gc=False):
    """A daybook. Only actual journals are part of the trial balance."""

    code: str
    name: str
    ledger: str | None = None
    module: str | None = None
    balance_type: str = "actual"
    """actual, budget, report or statistical."""
    currency: str | None = None


class PeriodRow(Row, frozen=True, kw_only=True, gc=False):
    """A part of a fiscal year."""

    period: str
    fiscal_year: str
    """As the source names it."""
    number: int
    name: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    """The last day of the period, inclusive."""
    closed: bool = False


class CostCodeRow(Row, frozen=True, kw_only=True, gc=False):
    """A value of a dimension, or a department."""

    dimension: str
    """'department' for a department."""
    code: str
    name: str
    active: bool = True


class ProjectRow(Row, frozen=True, kw_only=True, gc=False):
    code: str
    name: str
    status: str | None = None
    customer: str | None = None
    starts_on: date | None = None
    ends_on: date | None = None


class ContactRow(Row, frozen=True, kw_only=True, gc=False):
    """A customer or supplier."""

    kind: str
    """customer or supplier."""
    code: str
    name: str
    status: str | None = None
    number: str | None = None
    vat_number: str | None = None
    email: str | None = None
    phone: str | None = None
    city: str | None = None
    country: str | None = None
    currency: str | None = None


class PaymentTermRow(Row, frozen=True, kw_only=True, gc=False):
    code: str
    name: str
    days: int | None = None


class EntryRow(Row, frozen=True, kw_only=True, gc=False):
    """One batch. Only posted entries of the actual ledger count in reports."""

    journal: str
    module: str
    """The subledger that it came from: AR (receivables), AP (payables), GL …; see `CONTACT_KINDS`."""
    number: str
    period: str
    booked_on: date
    description: str | None = None
    ledger: str | None = None
    balance_type: str = "actual"
    """actual, budget, report, statistical. The type of a journal with the same `ledger` replaces it."""
    status: str = "posted"
    """posted, unposted, hold, balanced, voided …"""
    currency: str | None = None
    debit_total: Decimal = Decimal(0)
    credit_total: Decimal = Decimal(0)


class EntryLineRow(Row, frozen=True, kw_only=True, gc=False):
    """One line of a batch, in base currency."""

    entry: str
    line_number: int
    account: str
    """The account's code."""
    debit: Decimal
    credit: Decimal
    description: str | None = None
    reference: str | None = None
    vat_code: str | None = None
    branch: str | None = None
    project: str | None = None
    contact: str | None = None
    dimensions: str | None = None
    """`name=value`, joined by `;`."""
    currency: str | None = None
    """That of the entry when the line states none."""
    debit_in_currency: Decimal | None = None
    credit_in_currency: Decimal | None = None


class BalanceRow(Row, frozen=True, kw_only=True, gc=False):
    """The balance of an account in a period as the source states it: opening, movement, closing.

    Debit is positive. An account may have several per period, by branch or subaccount: their keys differ, and
    contain the period.
    """

    account: str
    period: str
    ledger: str | None = None
    branch: str | None = None
    balance_type: str = "actual"
    opening: Decimal
    debit: Decimal
    credit: Decimal
    closing: Decimal


CONTACT_KINDS: Mapping[str, str] = {"AR": "customer", "AP": "supplier"}
"""The kind of the contacts that the lines of an entry name, by the entry's module.

A customer and a supplier may have the same code, and a line has the code only. Other modules name contacts of
either kind.
"""
ROWS: dict[str, type[Row]] = {
    "company_details": CompanyRow,
    "accounts": AccountRow,
    "vat_codes": VatCodeRow,
    "journals": JournalRow,
    "periods": PeriodRow,
    "cost_codes": CostCodeRow,
    "projects": ProjectRow,
    "contacts": ContactRow,
    "payment_terms": PaymentTermRow,
    "balances": BalanceRow,
    "entries": EntryRow,
    "entry_lines": EntryLineRow,
}
"""The row type of each resource. `entry_lines` are only read together with `entries`."""
