"""Books in the formats of the published description (`/v1`, `/v2`).

Amounts have four decimals, dates no time zone.
"""

import zlib
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from koppel_sandbox.company import Company
from koppel_sandbox.ledger import Account, Balance, Books, Contact, Entry, Line, Period

encode = msgspec.json.Encoder(decimal_format="number").encode
FOUR_PLACES = Decimal("0.0001")
LEDGER = "1"
TYPES = {"asset": "Asset", "liability": "Liability", "income": "Income", "expense": "Expense"}
COUNTRY_NAMES = {"NL": "Netherlands", "NO": "Norway", "SE": "Sweden", "DK": "Denmark", "FI": "Finland"}


def amount(value: Decimal) -> Decimal:
    """Format an amount with four decimals like the real API; more only if the value has more."""
    exponent = value.as_tuple().exponent
    return value.quantize(FOUR_PLACES) if isinstance(exponent, int) and exponent > -5 else value


def day(value: date) -> str:
    return f"{value.isoformat()}T00:00:00"


def moment(value: datetime) -> str:
    """Format a time without a time zone, with hundredths."""
    return f"{value.strftime('%Y-%m-%dT%H:%M:%S')}.{value.microsecond // 10000:02d}"


def organizations(company: Company) -> list[dict[str, Any]]:
    country = {"id": company.country, "name": COUNTRY_NAMES.get(company.country, company.country)}
    return [
        {
            "organizationCd": "1",
            "name": company.name,
            "organizationType": "WithoutBranches" if len(company.units) == 1 else "WithBranchesNotBalancing",
            "fileTaxByBranches": False,
            "baseCurrency": company.currency,
            "mainAddress": {"addressLine1": "", "city": company.city, "postalCode": "", "country": country},
            "mainContact": {"name": company.name, "email": "", "phone1": ""},
            "corporateId": company.number,
            "vatRegistrationId": company.vat_number,
            "defaultCountry": country,
            "currency": {"id": company.currency},
            "ledger": {"id": LEDGER, "description": "General ledger"},
            "branches": [{"number": number, "name": name} for number, name in company.units],
            "lastModifiedDateTime": moment(company.books.modified)
            if company.has_books
            else "2024-01-01T08:00:00.00",
        }
    ]


def branches(company: Company) -> list[dict[str, Any]]:
    return [
        {
            "branchId": branch_id,
            "number": number,
            "name": name,
            "organizationId": 1,
            "isMainBranch": branch_id == 1,
            "isActive": True,
            "corporateId": company.number if branch_id == 1 else "",
            "lastModifiedDateTime": moment(company.books.modified),
        }
        for branch_id, (number, name) in enumerate(company.units, 1)
    ]


def accounts(company: Company) -> list[dict[str, Any]]:
    books = company.books
    return [
        _account(index, account, company, books) for index, account in enumerate(books.accounts.values(), 1)
    ]


def _account(index: int, account: Account, company: Company, books: Books) -> dict[str, Any]:
    return {
        "accountID": index,
        "accountCD": account.code,
        "accountClass": f"{account.code[:1]}000",
        "type": TYPES[account.kind],
        "active": account.active,
        "description": account.name,
        "useDefaultSub": False,
        "postOption": "Detail",
        "currency": company.currency,
        "taxCategory": "",
        "cashAccount": account.name in ("Kas", "Kasse", "Kassa", "Bank"),
        "lastModifiedDateTime": moment(books.modified),
        "allowManualEntry": True,
    }


def ledgers(company: Company) -> list[dict[str, Any]]:
    names = ((LEDGER, "General ledger", "Actual"), ("2", "Budget", "Budget"))
    return [
        {
            "internalId": internal_id,
            "number": number,
            "description": name,
            "balanceType": kind,
            "currencyId": company.currency,
            "lastModifiedDateTime": moment(company.books.modified),
        }
        for internal_id, (number, name, kind) in enumerate(names, 1)
    ]


def periods(company: Company) -> list[dict[str, Any]]:
    return [_period(period) for period in company.books.periods]


def _period(period: Period) -> dict[str, Any]:
    closed = dict.fromkeys(
        (
            "closedInSupplierLedger",
            "closedInCustomerLedger",
            "closedInGeneralLedger",
            "closedInCashManagement",
        ),
        period.closed,
    )
    return {
        "year": period.year,
        "period": f"{period.number:02d}",
        "startDate": day(period.starts_on),
        "endDate": day(period.ends_on),
        "description": period.starts_on.strftime("%B %Y"),
        "active": True,
        **closed,
    }


def vat_codes(company: Company) -> list[dict[str, Any]]:
    books = company.books
    return [
        {
            "vatCategoryId": code,
            "vatId": code,
            "description": text,
            "type": "Vat",
            "deductibleVat": direction == "Input",
            "reverseVat": False,
            "schedules": [{"startDate": "2019-01-01T00:00:00", "vatRate": rate, "groupType": direction}],
            "lastModifiedDateTime": moment(books.modified),
        }
        for code, text, direction, rate in books.vat
    ]


def departments(company: Company) -> list[dict[str, Any]]:
    return [{"departmentId": code, "description": name} for code, name in company.books.departments.items()]


def dimension(company: Company) -> dict[str, Any]:
    """Return the one dimension with values: the segments of the subaccount."""
    books = company.books
    return {
        "id": "SUBACCOUNT",
        "length": 30,
        "description": "Subaccount",
        "segments": [_segment(books, number, name) for number, name in books.dimensions.items()],
    }


def _segment_id(dimension_id: str) -> int:
    return int(dimension_id) if dimension_id.isdigit() else zlib.crc32(dimension_id.encode()) % 10_000


def _segment(books: Books, number: str, name: str) -> dict[str, Any]:
    values = [(value, text) for (dimension_id, value), text in books.values.items() if dimension_id == number]
    stamp = moment(books.modified)
    return {
        "segmentId": _segment_id(number),
        "description": name,
        "length": 10,
        "lastModified": stamp,
        "segmentValues": [
            {"valueId": value, "description": text, "active": True, "lastModified": stamp}
            for value, text in values
        ],
    }


def projects(company: Company) -> list[dict[str, Any]]:
    books = company.books
    first = books.periods[0].starts_on
    return [
        {
            "internalID": internal_id,
            "projectID": code,
            "description": name,
            "status": "Active",
            "startDate": day(first),
            "lastModifiedDateTime": moment(books.modified),
        }
        for internal_id, (code, name) in enumerate(books.projects.items(), 1)
    ]


def customers(company: Company) -> list[dict[str, Any]]:
    return [_contact(company, contact) for contact in company.books.customers]


def suppliers(company: Company) -> list[dict[str, Any]]:
    return [_contact(company, contact) for contact in company.books.suppliers]


def _contact(company: Company, contact: Contact) -> dict[str, Any]:
    country = {"id": company.country, "name": COUNTRY_NAMES.get(company.country, company.country)}
    return {
        "internalId": int(contact.number),
        "number": contact.number,
        "name": contact.name,
        "status": contact.status,
        "mainAddress": {"addressLine1": "", "city": contact.city, "country": country},
        "mainContact": {"name": contact.name, "email": contact.email, "phone1": ""},
        "corporateId": contact.corporate_id,
        "currencyId": company.currency,
        "creditTerms": {"id": "30", "description": "30"},
        "lastModifiedDateTime": moment(company.books.modified),
    }


def credit_terms(company: Company) -> list[dict[str, Any]]:
    stamp = moment(company.books.modified)
    return [
        {
            "termsId": code,
            "description": name,
            "dueDateType": "FixedNumberOfDays",
            "dueDay1": days,
            "lastModifiedDateTime": stamp,
        }
        for code, name, days in company.books.terms
    ]


def balances(company: Company, *, by_account: bool = False) -> Iterable[tuple[str, str, bytes]]:
    """Return (period, time of the last change, JSON object without its end and metadata).

    A balance changes with its entries. `by_account`: credit balances of liabilities and income are positive.
    """
    books = company.books
    changed: dict[tuple[str, str], datetime] = {}
    for entry in books.entries:
        for line in entry.lines:
            key = (line.account, entry.period)
            changed[key] = max(changed.get(key, entry.modified), entry.modified)
    for balance in books.balances():
        stamp = moment(changed.get((balance.account, balance.period), books.modified))
        yield balance.period, stamp, encode(_balance(company, books, balance, stamp, by_account))[:-1]


def _balance(company: Company, books: Books, stated: Balance, stamp: str, by_account: bool) -> dict[str, Any]:
    account = books.accounts[stated.account]
    sign = -1 if by_account and account.kind in ("liability", "income") else 1
    figures = {
        "periodToDateDebit": amount(stated.debit),
        "periodToDateCredit": amount(stated.credit),
        "beginningBalance": sign * amount(stated.opening),
        "yearToDateBalance": sign * amount(stated.closing),
    }
    return {
        "branch": {"number": company.units[0][0], "name": company.units[0][1]},
        "ledger": {"id": LEDGER, "description": "General ledger"},
        "balanceType": "Actual",
        "financialPeriod": stated.period,
        "account": {"type": TYPES[account.kind], "number": account.code, "description": account.name},
        "subaccountId": "1",
        "currencyId": company.currency,
        **figures,
        **{f"{name}InCurrency": value for name, value in figures.items()},
        "yearClosed": False,
        "lastModifiedDateTime": stamp,
    }


def batch(company: Company, entry: Entry) -> tuple[bytes, list[bytes]]:
    """Return (JSON object up to and with `"journalTransactionLines":[`, its lines as JSON objects)."""
    debit = amount(sum((line.amount for line in entry.lines if line.amount > 0), Decimal(0)))
    credit = amount(-sum((line.amount for line in entry.lines if line.amount < 0), Decimal(0)))
    head = {
        "module": f"Module{entry.module}",
        "batchNumber": entry.number,
        "status": entry.status,
        "hold": False,
        "transactionDate": day(entry.booked_on),
        "postPeriod": entry.period,
        "financialPeriod": entry.period,
        "ledger": LEDGER,
        "ledgerDescription": "General ledger",
        "currencyId": company.currency,
        "exchangeRate": Decimal("1.00000000"),
        "autoReversing": False,
        "reversingEntry": False,
        "description": entry.text,
        "debitTotal": debit,
        "debitTotalInCurrency": debit,
        "creditTotal": credit,
        "creditTotalInCurrency": credit,
        "lastModifiedDateTime": moment(entry.modified),
        "transactionCode": entry.series,
        "branch": company.units[0][0],
    }
    lines = [encode(_line(company, entry, place, line)) for place, line in enumerate(entry.lines, 1)]
    return encode(head)[:-1] + b',"journalTransactionLines":[', lines


def _line(company: Company, entry: Entry, index: int, line: Line) -> dict[str, Any]:
    books = company.books
    value = amount(abs(line.amount))
    debit, credit = (value, amount(Decimal(0))) if line.amount > 0 else (amount(Decimal(0)), value)
    account = books.accounts[line.account]
    shape = {
        "lineNumber": index,
        "accountNumber": line.account,
        "description": account.name,
        "subaccount": _subaccount(books, line),
        "referenceNumber": line.reference,
        "debitAmount": debit,
        "debitAmountInCurrency": debit,
        "creditAmount": credit,
        "creditAmountInCurrency": credit,
        "transactionDescription": line.text or entry.text,
        "branch": company.units[index % len(company.units)][0],
        "module": f"Module{entry.module}",
    }
    if line.contact:
        shape["customerSupplier"] = line.contact
    if line.vat:
        shape["vatCode"] = {"id": line.vat, "description": line.vat}
        shape["vat"] = {"id": line.vat, "description": line.vat}
    if line.project:
        shape["project"] = {"id": line.project, "description": books.projects.get(line.project, "")}
    return shape


def _subaccount(books: Books, line: Line) -> dict[str, Any]:
    segments = [
        {
            "segmentId": _segment_id(number),
            "segmentDescription": books.dimensions.get(number, number),
            "segmentValue": value,
            "segmentValueDescription": books.values.get((number, value), value),
        }
        for number, value in line.objects
    ]
    number = "-".join(value for _number, value in line.objects) or "0"
    return {
        "subaccountNumber": number,
        "subaccountId": 1,
        "description": "",
        "active": True,
        "segments": segments,
    }
