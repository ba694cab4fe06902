"""From the vendor's records to rows. Pure: the same bytes give the same row. Amounts go from text to `Decimal`."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import msgspec

from koppel.connector import rows
from koppel.connectors.visma_net.cursors import period_key

AMOUNT_MAX = Decimal(10) ** 18
AMOUNT_MIN = -AMOUNT_MAX
DAYS = re.compile(r"\d+")


class Named(msgspec.Struct, gc=False):
    """A reference: the vendor writes `id` or `number`, and a name or description."""

    id: str = ""
    number: str = ""
    name: str = ""
    description: str = ""

    @property
    def code(self) -> str | None:
        return self.id or self.number or None


class Address(msgspec.Struct, gc=False):
    addressLine1: str | None = None
    city: str | None = None
    country: Named | None = None


class ContactInfo(msgspec.Struct, gc=False):
    email: str | None = None
    phone1: str | None = None


class Organization(msgspec.Struct, gc=False):
    name: str = ""
    corporateId: str | None = None
    vatRegistrationId: str | None = None
    defaultCountry: Named | None = None
    baseCurrency: str | None = None
    mainAddress: Address | None = None
    industryCode: Named | None = None


class AccountWire(msgspec.Struct, gc=False):
    accountCD: str
    type: str = ""
    description: str | None = None
    accountClass: str | None = None
    active: bool = True
    currency: str | None = None
    taxCategory: str | None = None


class Schedule(msgspec.Struct, gc=False):
    startDate: str = ""
    vatRate: Decimal | None = None
    groupType: str | None = None


class Vat(msgspec.Struct, gc=False):
    vatId: str
    description: str | None = None
    reverseVat: bool = False
    notValidAfter: str | None = None
    schedules: list[Schedule] = []


class LedgerWire(msgspec.Struct, gc=False):
    number: str
    module: str
    description: str | None = None
    balanceType: str = "Actual"
    currencyId: str | None = None


class PeriodWire(msgspec.Struct, gc=False):
    year: int
    period: str
    startDate: str | None = None
    endDate: str | None = None
    description: str | None = None
    closedInGeneralLedger: bool = False


class CostCode(msgspec.Struct, gc=False):
    departmentId: str | None = None
    valueId: str | None = None
    segment: str | None = None
    dimension: str | None = None
    description: str | None = None
    active: bool = True


class ProjectWire(msgspec.Struct, gc=False):
    projectID: str
    description: str | None = None
    status: str | None = None
    customer: Named | None = None
    startDate: str | None = None
    endDate: str | None = None


class ContactWire(msgspec.Struct, gc=False):
    endpoint: str
    number: str
    name: str = ""
    status: str | None = None
    corporateId: str | None = None
    vatRegistrationId: str | None = None
    mainAddress: Address | None = None
    mainContact: ContactInfo | None = None
    currencyId: str | None = None


class Term(msgspec.Struct, gc=False):
    termsId: str
    description: str | None = None
    dueDateType: str | None = None
    dueDay1: int | None = None


class BalanceAccount(msgspec.Struct, gc=False):
    number: str
    type: str = ""


class BalanceWire(msgspec.Struct, gc=False):
    account: BalanceAccount
    financialPeriod: str
    beginningBalance: Decimal = Decimal(0)
    periodToDateDebit: Decimal = Decimal(0)
    periodToDateCredit: Decimal = Decimal(0)
    yearToDateBalance: Decimal = Decimal(0)
    ledger: Named | None = None
    branch: Named | None = None
    balanceType: str = "Actual"


class Batch(msgspec.Struct, gc=False):
    module: str
    batchNumber: str
    transactionDate: str
    financialPeriod: str | None = None
    postPeriod: str | None = None
    status: str = "Posted"
    description: str | None = None
    ledger: str | None = None
    currencyId: str | None = None
    debitTotal: Decimal = Decimal(0)
    creditTotal: Decimal = Decimal(0)


class LineSegment(msgspec.Struct, gc=False):
    segmentDescription: str | None = None
    segmentValue: str | None = None


class Subaccount(msgspec.Struct, gc=False):
    segments: list[LineSegment] | None = None


class LineWire(msgspec.Struct, gc=False):
    lineNumber: int
    accountNumber: str
    debitAmount: Decimal = Decimal(0)
    creditAmount: Decimal = Decimal(0)
    debitAmountInCurrency: Decimal | None = None
    creditAmountInCurrency: Decimal | None = None
    transactionDescription: str | None = None
    referenceNumber: str | None = None
    vatCode: Named | None = None
    branch: str | None = None
    project: Named | None = None
    customerSupplier: str | None = None
    subaccount: Subaccount | None = None


def company_details(native: bytes) -> rows.CompanyRow:
    one: Organization = msgspec.json.decode(native, type=Organization)
    address = one.mainAddress
    country = (one.defaultCountry or (address.country if address else None)) or Named()
    return rows.CompanyRow(
        name=_clean(one.name) or "–",
        number=_clean(one.corporateId),
        vat_number=_clean(one.vatRegistrationId),
        country=country.code,
        base_currency=_clean(one.baseCurrency),
        address=_clean(address.addressLine1) if address else None,
        city=_clean(address.city) if address else None,
        industry_code=one.industryCode.code if one.industryCode else None,
    )


def account(native: bytes) -> rows.AccountRow:
    one: AccountWire = msgspec.json.decode(native, type=AccountWire)
    if one.type not in ("Asset", "Liability", "Income", "Expense"):
        raise ValueError(f"The account type {one.type[:20]!r} is unknown.")
    return rows.AccountRow(
        code=_clean(one.accountCD) or "", name=_clean(one.description) or "", kind=one.type.lower(),
        account_class=_clean(one.accountClass), active=one.active, currency=_clean(one.currency),
        vat_code=_clean(one.taxCategory),
    )  # fmt: skip


def vat_code(native: bytes) -> rows.VatCodeRow:
    one: Vat = msgspec.json.decode(native, type=Vat)
    newest = max(one.schedules, key=lambda schedule: schedule.startDate, default=Schedule())
    directions = {schedule.groupType.lower() for schedule in one.schedules if schedule.groupType}
    return rows.VatCodeRow(
        code=one.vatId, name=_clean(one.description) or one.vatId, rate=_amount(newest.vatRate),
        direction="both" if len(directions) > 1 else next(iter(directions), None),
        reverse_charge=one.reverseVat, valid_until=_day(one.notValidAfter),
    )  # fmt: skip


def journal(native: bytes) -> rows.JournalRow:
    one: LedgerWire = msgspec.json.decode(native, type=LedgerWire)
    return rows.JournalRow(
        code=f"{one.number}-{one.module}", name=f"{_clean(one.description) or one.number} {one.module}",
        ledger=one.number, module=one.module, balance_type=one.balanceType.lower(), currency=_clean(one.currencyId),
    )  # fmt: skip


def period(native: bytes) -> rows.PeriodRow:
    one: PeriodWire = msgspec.json.decode(native, type=PeriodWire)
    key = period_key(one.year, one.period)
    return rows.PeriodRow(
        period=key, fiscal_year=str(one.year), number=int(key[4:]), name=_clean(one.description),
        starts_on=_day(one.startDate), ends_on=_day(one.endDate), closed=one.closedInGeneralLedger,
    )  # fmt: skip


def cost_code(native: bytes) -> rows.CostCodeRow:
    one: CostCode = msgspec.json.decode(native, type=CostCode)
    code = one.departmentId or one.valueId or ""
    dimension = "department" if one.departmentId else (one.segment or one.dimension or "")
    return rows.CostCodeRow(dimension=dimension, code=code, name=_clean(one.description) or code, active=one.active)


def project(native: bytes) -> rows.ProjectRow:
    one: ProjectWire = msgspec.json.decode(native, type=ProjectWire)
    return rows.ProjectRow(
        code=one.projectID, name=_clean(one.description) or one.projectID, status=_snake(one.status),
        customer=one.customer.code if one.customer else None, starts_on=_day(one.startDate), ends_on=_day(one.endDate),
    )  # fmt: skip


def contact(native: bytes) -> rows.ContactRow:
    one: ContactWire = msgspec.json.decode(native, type=ContactWire)
    address, info = one.mainAddress or Address(), one.mainContact or ContactInfo()
    return rows.ContactRow(
        kind=one.endpoint, code=one.number, name=_clean(one.name) or one.number, status=_snake(one.status),
        number=_clean(one.corporateId), vat_number=_clean(one.vatRegistrationId), email=_clean(info.email),
        phone=_clean(info.phone1), city=_clean(address.city), country=address.country.code if address.country else None,
        currency=_clean(one.currencyId),
    )  # fmt: skip


def payment_term(native: bytes) -> rows.PaymentTermRow:
    """`dueDay1` counts days only for the type FixedNumberOfDays; the other types name a day of the month."""
    one: Term = msgspec.json.decode(native, type=Term)
    days = one.dueDay1 if one.dueDateType == "FixedNumberOfDays" else None
    return rows.PaymentTermRow(code=one.termsId, name=_clean(one.description) or one.termsId, days=days)


def balance(native: bytes) -> rows.BalanceRow:
    """The description does not say which sign a credit balance has. The record's own arithmetic tells: opening plus debit less
    credit gives the closing balance when debits are positive, opening plus credit less debit when signs follow the account."""
    one: BalanceWire = msgspec.json.decode(native, type=BalanceWire)
    opening, closing = _amount(one.beginningBalance), _amount(one.yearToDateBalance)
    debit, credit = _amount(one.periodToDateDebit), _amount(one.periodToDateCredit)
    natural = one.account.type in ("Liability", "Income") and debit != credit and opening + credit - debit == closing
    sign = -1 if natural else 1
    return rows.BalanceRow(
        account=one.account.number, period=one.financialPeriod, ledger=one.ledger.code if one.ledger else None,
        branch=one.branch.code if one.branch else None, balance_type=one.balanceType.lower(),
        opening=sign * opening, debit=debit, credit=credit, closing=sign * closing,
    )  # fmt: skip


def entry(native: bytes) -> rows.EntryRow:
    one = _batch.decode(native)
    booked_on = _day(one.transactionDate)
    if booked_on is None:
        raise ValueError("It has no transaction date.")
    module = one.module.removeprefix("Module")
    return rows.EntryRow(
        journal=f"{one.ledger or '1'}-{module}", module=module, number=one.batchNumber,
        period=one.financialPeriod or one.postPeriod or "", booked_on=booked_on, description=_clean(one.description),
        ledger=one.ledger, balance_type="actual", status=_snake(one.status) or "posted", currency=_clean(one.currencyId),
        debit_total=_amount(one.debitTotal), credit_total=_amount(one.creditTotal),
    )  # fmt: skip


def entry_line(native: bytes, entry_key: str) -> rows.EntryLineRow:
    one = _line.decode(native)
    segments = one.subaccount.segments if one.subaccount else None
    return rows.EntryLineRow(
        entry=entry_key, line_number=one.lineNumber, account=one.accountNumber,
        debit=_amount(one.debitAmount), credit=_amount(one.creditAmount),
        description=_clean(one.transactionDescription), reference=_clean(one.referenceNumber),
        vat_code=one.vatCode.code if one.vatCode else None, branch=_clean(one.branch),
        project=one.project.code if one.project else None, contact=_clean(one.customerSupplier),
        dimensions=_dimensions(segments) if segments else None, debit_in_currency=_amount(one.debitAmountInCurrency),
        credit_in_currency=_amount(one.creditAmountInCurrency),
    )  # fmt: skip


NORMALISERS: dict[str, Callable[[bytes], rows.Row]] = {
    "company_details": company_details,
    "accounts": account,
    "vat_codes": vat_code,
    "journals": journal,
    "periods": period,
    "cost_codes": cost_code,
    "projects": project,
    "contacts": contact,
    "payment_terms": payment_term,
    "balances": balance,
    "entries": entry,
}

_batch = msgspec.json.Decoder(Batch)
_line = msgspec.json.Decoder(LineWire)


def _clean(text: str | None) -> str | None:
    """Without blanks around it; NUL, which PostgreSQL refuses in text, becomes a blank. Empty is None."""
    if not text:
        return None
    return (text.replace("\x00", " ") if "\x00" in text else text).strip() or None


def _dimensions(segments: list[LineSegment]) -> str:
    return ";".join(f"{each.segmentDescription or ''}={each.segmentValue or ''}" for each in segments)


def _amount(value: Any) -> Any:
    """Finite and below 10^18, else `ValueError`: JSON allows `1e400`, books do not."""
    try:
        if value is None or AMOUNT_MIN < value < AMOUNT_MAX:
            return value
    except InvalidOperation:  # NaN
        pass
    raise ValueError("An amount is no amount of money.")


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


@lru_cache(maxsize=256)
def _snake(text: str | None) -> str | None:
    """`OnHold` becomes `on_hold`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower() if text else None
