"""Maps the vendor's records to rows. Pure: the same bytes give the same row.

Amounts are parsed from text to `Decimal`.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import msgspec
from django.utils.translation import gettext_noop as _

from koppel.connector import rows
from koppel.connector.period_format import require_period
from koppel.connectors.visma_net.periods import period_key
from koppel.kit.database.text import compose
from koppel.kit.web.sentences import stored_sentence

AMOUNT_MAX = Decimal(10) ** 18
AMOUNT_MIN = -AMOUNT_MAX
FOUR_PLACES = Decimal("0.0001")
"""What the API documents, and the most that a currency of ISO 4217 has. Further digits are the noise of
floating point: 10.100000000000001.
"""
DECIMALS_MAX = 100


class Named(msgspec.Struct, gc=False):
    """A reference: the vendor writes an id or a number, and a name or description."""

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
    endpoint: str = ""
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
    """A rate from a day on; without one it holds from the beginning."""

    startDate: str | None = None
    vatRate: Decimal | None = None
    groupType: str | None = None


class Vat(msgspec.Struct, gc=False):
    """A VAT code."""

    vatId: str
    inForceFrom: str | None = None
    """Koppel's own field: the start of the schedule in force when it was read (`schedule_in_force`)."""
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


BY_ACCOUNT = "account"


class BalanceWire(msgspec.Struct, gc=False):
    account: BalanceAccount
    financialPeriod: str
    signs: str = ""
    """Koppel's own field: `BY_ACCOUNT` when other balances showed that signs follow the account."""
    beginningBalance: Decimal = Decimal(0)
    periodToDateDebit: Decimal = Decimal(0)
    periodToDateCredit: Decimal = Decimal(0)
    yearToDateBalance: Decimal = Decimal(0)
    ledger: Named | None = None
    branch: Named | None = None
    balanceType: str = "Actual"


class JournalBatch(msgspec.Struct, gc=False):
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


def company_details(raw: bytes) -> rows.CompanyRow:
    organization: Organization = msgspec.json.decode(raw, type=Organization)
    address = organization.mainAddress
    country = (organization.defaultCountry or (address.country if address else None)) or Named()
    return rows.CompanyRow(
        name=_clean(organization.name) or "–",
        kind="branch" if organization.endpoint == "branch" else "company",
        number=_clean(organization.corporateId),
        vat_number=_clean(organization.vatRegistrationId),
        country=country.code,
        base_currency=_clean(organization.baseCurrency),
        address=_clean(address.addressLine1) if address else None,
        city=_clean(address.city) if address else None,
        industry_code=organization.industryCode.code if organization.industryCode else None,
    )


def account(raw: bytes) -> rows.AccountRow:
    wire: AccountWire = msgspec.json.decode(raw, type=AccountWire)
    if wire.type not in ("Asset", "Liability", "Income", "Expense"):
        raise ValueError(stored_sentence(_("The account type %(type)s is unknown."), type=wire.type[:20]))
    return rows.AccountRow(
        code=_code(wire.accountCD),
        name=_clean(wire.description) or "",
        kind=wire.type.lower(),
        account_class=_clean(wire.accountClass),
        active=wire.active,
        currency=_clean(wire.currency),
        vat_code=_clean(wire.taxCategory),
    )


def vat_code(raw: bytes) -> rows.VatCodeRow:
    wire: Vat = msgspec.json.decode(raw, type=Vat)
    current = [schedule for schedule in wire.schedules if _starts(schedule) == wire.inForceFrom]
    directions = {schedule.groupType.lower() for schedule in wire.schedules if schedule.groupType}
    return rows.VatCodeRow(
        code=wire.vatId,
        name=_clean(wire.description) or wire.vatId,
        rate=_amount(next((one.vatRate for one in current if one.vatRate is not None), None)),
        direction="both" if len(directions) > 1 else next(iter(directions), None),
        reverse_charge=wire.reverseVat,
        valid_until=_day(wire.notValidAfter),
    )


def schedule_in_force(raw: bytes, day: date) -> str | None:
    """Return the start of the newest schedule that has begun by this day, '' for one without a start; None
    when none has.
    """
    schedules = _schedules.decode(raw).schedules or ()
    return max((start for start in map(_starts, schedules) if start <= day.isoformat()), default=None)


def _starts(schedule: Schedule) -> str:
    return (schedule.startDate or "")[:10]


def journal(raw: bytes) -> rows.JournalRow:
    wire: LedgerWire = msgspec.json.decode(raw, type=LedgerWire)
    return rows.JournalRow(
        code=f"{wire.number}-{wire.module}",
        name=f"{_clean(wire.description) or wire.number} {wire.module}",
        ledger=_clean(wire.number),
        module=wire.module,
        balance_type=wire.balanceType.lower(),
        currency=_clean(wire.currencyId),
    )


def period(raw: bytes) -> rows.PeriodRow:
    wire: PeriodWire = msgspec.json.decode(raw, type=PeriodWire)
    key = require_period(period_key(wire.year, wire.period))
    return rows.PeriodRow(
        period=key,
        fiscal_year=str(wire.year),
        number=int(key[4:]),
        name=_clean(wire.description),
        starts_on=_day(wire.startDate),
        ends_on=_day(wire.endDate),
        closed=wire.closedInGeneralLedger,
    )


def cost_code(raw: bytes) -> rows.CostCodeRow:
    wire: CostCode = msgspec.json.decode(raw, type=CostCode)
    code = wire.departmentId or wire.valueId or ""
    dimension = "department" if wire.departmentId else (wire.segment or wire.dimension or "")
    return rows.CostCodeRow(
        dimension=dimension, code=code, name=_clean(wire.description) or code, active=wire.active
    )


def project(raw: bytes) -> rows.ProjectRow:
    wire: ProjectWire = msgspec.json.decode(raw, type=ProjectWire)
    return rows.ProjectRow(
        code=wire.projectID,
        name=_clean(wire.description) or wire.projectID,
        status=_snake(wire.status),
        customer=wire.customer.code if wire.customer else None,
        starts_on=_day(wire.startDate),
        ends_on=_day(wire.endDate),
    )


def contact(raw: bytes) -> rows.ContactRow:
    wire: ContactWire = msgspec.json.decode(raw, type=ContactWire)
    address, contact_info = wire.mainAddress or Address(), wire.mainContact or ContactInfo()
    return rows.ContactRow(
        kind=wire.endpoint,
        code=wire.number,
        name=_clean(wire.name) or wire.number,
        status=_snake(wire.status),
        number=_clean(wire.corporateId),
        vat_number=_clean(wire.vatRegistrationId),
        email=_clean(contact_info.email),
        phone=_clean(contact_info.phone1),
        city=_clean(address.city),
        country=address.country.code if address.country else None,
        currency=_clean(wire.currencyId),
    )


def payment_term(raw: bytes) -> rows.PaymentTermRow:
    """Normalise a payment term.

    `dueDay1` counts days only for the type FixedNumberOfDays; the other types name a day of the month.
    """
    wire: Term = msgspec.json.decode(raw, type=Term)
    days = wire.dueDay1 if wire.dueDateType == "FixedNumberOfDays" else None
    return rows.PaymentTermRow(code=wire.termsId, name=_clean(wire.description) or wire.termsId, days=days)


def balance(raw: bytes) -> rows.BalanceRow:
    """Normalise a balance.

    The description does not state the sign of a credit balance; the record's own arithmetic shows it. Opening
    plus debit less credit equals closing when debits are positive; opening plus credit less debit does when
    signs follow the account. A balance that did not move has the sign that others showed.
    """
    wire: BalanceWire = msgspec.json.decode(raw, type=BalanceWire)
    opening, closing = _amount(wire.beginningBalance), _amount(wire.yearToDateBalance)
    debit, credit = _amount(wire.periodToDateDebit), _amount(wire.periodToDateCredit)
    if debit != credit and opening + debit - credit == closing:
        natural = False
    else:
        natural = wire.signs == BY_ACCOUNT or (debit != credit and opening + credit - debit == closing)
    sign = -1 if natural and has_credit_side(wire) else 1
    return rows.BalanceRow(
        account=_code(wire.account.number),
        period=require_period(wire.financialPeriod),
        ledger=wire.ledger.code if wire.ledger else None,
        branch=wire.branch.code if wire.branch else None,
        balance_type=wire.balanceType.lower(),
        opening=sign * opening,
        debit=debit,
        credit=credit,
        closing=sign * closing,
    )


def has_credit_side(balance: BalanceWire) -> bool:
    """Return whether the account usually has a credit balance."""
    return balance.account.type in ("Liability", "Income")


def entry(raw: bytes) -> rows.EntryRow:
    """Normalise the head of a batch.

    The description of a batch states the number of its ledger but not the ledger's type, which `/v1/ledger`
    does: the journals carry it, and stored entries get it from there.
    """
    batch = _batch.decode(raw)
    booked_on = _day(batch.transactionDate)
    if booked_on is None:
        raise ValueError(_("It has no transaction date."))
    period_text = batch.financialPeriod or batch.postPeriod or ""
    module = batch.module.removeprefix("Module")
    return rows.EntryRow(
        journal=f"{_clean(batch.ledger) or '1'}-{module}",
        module=module,
        number=batch.batchNumber,
        period=period_text and require_period(period_text),
        booked_on=booked_on,
        description=_clean(batch.description),
        ledger=_clean(batch.ledger),
        status=_snake(batch.status) or "posted",
        currency=_clean(batch.currencyId),
        debit_total=_amount(batch.debitTotal),
        credit_total=_amount(batch.creditTotal),
    )


def entry_line(raw: bytes, entry_key: str) -> rows.EntryLineRow:
    """Normalise a line of a batch.

    The description states the currency of a batch and none of a line, so a line gets that of its entry when
    it is stored.
    """
    line = _line.decode(raw)
    segments = line.subaccount.segments if line.subaccount else None
    return rows.EntryLineRow(
        entry=entry_key,
        line_number=line.lineNumber,
        account=_code(line.accountNumber),
        debit=_amount(line.debitAmount),
        credit=_amount(line.creditAmount),
        description=_clean(line.transactionDescription),
        reference=_clean(line.referenceNumber),
        vat_code=line.vatCode.code if line.vatCode else None,
        branch=_clean(line.branch),
        project=line.project.code if line.project else None,
        contact=_clean(line.customerSupplier),
        dimensions=_dimensions(segments) if segments else None,
        debit_in_currency=_amount(line.debitAmountInCurrency),
        credit_in_currency=_amount(line.creditAmountInCurrency),
    )


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
VERSIONS: dict[str, int] = {
    "company_details": 1,
    "accounts": 1,
    "vat_codes": 1,
    "journals": 2,
    "periods": 2,
    "cost_codes": 1,
    "projects": 1,
    "contacts": 1,
    "payment_terms": 1,
    "balances": 3,
    "entries": 3,
    "entry_lines": 2,
}
"""Raise the version of a resource whenever equal bytes may give another row: stored rows are read again then.
`tests/connectors/test_normalisation_versions.py` holds it.
"""


class _Schedules(msgspec.Struct, gc=False):
    schedules: list[Schedule] | None = None


_batch = msgspec.json.Decoder(JournalBatch)
_schedules = msgspec.json.Decoder(_Schedules)
_line = msgspec.json.Decoder(LineWire)


def _clean(text: str | None) -> str | None:
    """Return the text without surrounding blanks; None when empty.

    NUL, which PostgreSQL refuses in text, becomes a blank.
    """
    if not text:
        return None
    return compose(text.replace("\x00", " ") if "\x00" in text else text).strip() or None


def _code(text: str | None) -> str:
    """Return a number or code without surrounding blanks. A NUL stays, so that the record is rejected: as a
    blank it could be another's code.
    """
    return compose(text).strip() if text else ""


def _dimensions(segments: list[LineSegment]) -> str:
    return compose(
        ";".join(f"{each.segmentDescription or ''}={each.segmentValue or ''}" for each in segments)
    )


def _amount(value: Any) -> Any:
    """Return the amount, rounded to four decimals if it has more.

    Raises `ValueError` unless it is finite and below 10^18: JSON allows `1e400`, the books do not.
    """
    try:
        if value is None:
            return None
        if AMOUNT_MIN < value < AMOUNT_MAX:
            rounded = value.quantize(FOUR_PLACES)
            if rounded == value:
                return value
            if value.as_tuple().exponent > -DECIMALS_MAX:
                return rounded + 0  # which makes 0 of -0
    except InvalidOperation:  # NaN
        pass
    raise ValueError(_("An amount is no amount of money."))


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


@lru_cache(maxsize=256)
def _snake(text: str | None) -> str | None:
    """Return `on_hold` for `OnHold`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower() if text else None
