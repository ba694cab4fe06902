"""Checks of a whole ledger while it streams by: control totals, balances, references."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.findings import Finding, FindingCode, FindingLog, Location, Repair
from ledger_formats.limits import Limits
from ledger_formats.records import (
    ZERO,
    Account,
    Balance,
    BalanceKind,
    Dimension,
    Entry,
    Journal,
    Period,
    Record,
    VatCode,
)

ROUNDING = Decimal("0.00005")
"""Programs that reckon with floating point write 10.100000000000001: less than this is no difference."""
CODES = {VatCode: "VAT codes", Journal: "journals", Period: "periods", Dimension: "dimensions"}
"""What `Limits.codes_max` is about."""
YEARS_MAX = 4
"""Movements are kept by account for this many years' worth of accounts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTotal:
    """A total that the file states, and what its records add up to."""

    name: str
    stated: Decimal
    counted: Decimal

    @property
    def agrees(self) -> bool:
        return abs(self.stated - self.counted) <= ROUNDING


@dataclass(slots=True)
class Report:
    """What one complete pass over a file found. `closing` is by fiscal year and account: opening + movements.

    `findings` may be fewer than `finding_counts`, see `Limits.findings_max`.
    """

    counts: dict[str, int]
    lines_unreadable: int
    debit: Decimal
    credit: Decimal
    closing: dict[tuple[str, str], Decimal]
    control_totals: list[ControlTotal]
    findings: list[Finding]
    finding_counts: dict[FindingCode, int]
    repairs: list[Repair]

    @property
    def is_balanced(self) -> bool:
        """Whether every entry, every stated closing balance and every control total agrees."""
        return not any(
            self.finding_counts.get(code)
            for code in (
                FindingCode.ENTRY_UNBALANCED,
                FindingCode.CLOSING_BALANCE_DIFFERS,
                FindingCode.CONTROL_TOTAL_DIFFERS,
            )
        )

    @property
    def is_complete(self) -> bool:
        """Whether every line and every balance of the file was understood."""
        return not any(
            self.finding_counts.get(code)
            for code in (FindingCode.LINE_UNREADABLE, FindingCode.BALANCE_UNREADABLE)
        )


@dataclass(slots=True)
class Totals:
    """The totals that a file states about its entries. None where it does not say.

    `negative_debit` and `negative_credit` are the sums of amounts below zero by the side they stand on: some
    programs leave them there in their totals.
    """

    lines: int | None = None
    entries: int | None = None
    debit: Decimal | None = None
    credit: Decimal | None = None
    negative_debit: Decimal = ZERO
    negative_credit: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Tally:
    """Adds up records as they pass."""

    name: str
    limits: Limits
    log: FindingLog
    totals: Totals = field(default_factory=Totals)
    counts: Counter[str] = field(default_factory=Counter)
    debit: Decimal = ZERO
    credit: Decimal = ZERO
    accounts: set[str] = field(default_factory=set)
    vat_codes: set[str] = field(default_factory=set)
    keys: dict[str, int] = field(default_factory=dict)
    """Of each key of an entry, how many entries have asked for it."""
    undeclared: dict[tuple[str, str], Location] = field(default_factory=dict)
    opening: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    stated_closing: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    movements: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    has_opening_entries: bool = False
    opening_journals: set[str] = field(default_factory=set)

    def add(self, record: Record) -> None:
        if isinstance(record, Entry):
            self._add_entry(record)
            return
        kind = type(record)
        self.counts[kind.__name__] += 1
        if kind in CODES:
            self.check_count(self.counts[kind.__name__], self.limits.codes_max, CODES[kind])
        if isinstance(record, Account):
            self._add_account(record)
        elif isinstance(record, Balance):
            self._add_balance(record)
        elif isinstance(record, VatCode):
            self.vat_codes.add(record.code)
        elif isinstance(record, Journal) and record.kind == "O":
            self.opening_journals.add(record.code)

    def _add_account(self, account: Account) -> None:
        if account.code in self.accounts:
            self.log.add(
                FindingCode.ACCOUNT_DECLARED_TWICE,
                f"Account {account.code[:40]} is declared twice.",
                account.at,
            )
        self.accounts.add(account.code)
        self.check_count(len(self.accounts), self.limits.accounts_max, "accounts")

    def _add_balance(self, balance: Balance) -> None:
        if not balance.is_of_account:
            return
        table = self.opening if balance.kind is BalanceKind.OPENING else self.stated_closing
        key = (balance.fiscal_year, balance.account)
        table[key] = table.get(key, ZERO) + balance.amount
        self.check_count(len(table), YEARS_MAX * self.limits.accounts_max, "accounts with balances")

    def _add_entry(self, entry: Entry) -> None:
        movements, year = self.movements, entry.fiscal_year
        debit = credit = ZERO
        for line in entry.lines:
            key, amount = (year, line.account), line.amount
            if key in movements:
                movements[key] += amount
            else:
                self._add_first_movement(key, amount, line.at)
            if amount > ZERO:
                debit += amount
            else:
                credit -= amount
            for vat in line.vat:
                if vat.code not in self.vat_codes:
                    self._note_code("VAT code", vat.code, line.at)
        self.debit += debit
        self.credit += credit
        self.counts["Entry"] += 1
        self.counts["Line"] += len(entry.lines)
        if abs(debit - credit) > ROUNDING:
            self._report_unbalanced(entry, debit - credit)
        elif not entry.lines:
            self.log.add(FindingCode.ENTRY_WITHOUT_LINES, f"Entry {entry.key[:60]} has no lines.", entry.at)
        if _is_zero(entry.period_number) or entry.journal in self.opening_journals:
            self.has_opening_entries = True

    def _report_unbalanced(self, entry: Entry, difference: Decimal) -> None:
        self.log.add(
            FindingCode.ENTRY_UNBALANCED,
            f"Entry {entry.key[:60]} does not balance: its debits exceed its credits by {difference:f}.",
            entry.at,
        )

    def _add_first_movement(self, key: tuple[str, str], amount: Decimal, at: int) -> None:
        self.movements[key] = amount
        self.check_count(len(self.movements), YEARS_MAX * self.limits.accounts_max, "accounts in use")
        if key[1] not in self.accounts:
            self._note_code("account", key[1], at)

    def _note_code(self, kind: str, code: str, at: int) -> None:
        if (kind, code) not in self.undeclared:
            self.undeclared[(kind, code)] = self.log.location(at)
            self.check_count(len(self.undeclared), self.limits.accounts_max, "accounts or VAT codes in use")

    def unique_key(self, key: str) -> str:
        """Return this key of an entry, or `-2` and so on behind it where an entry before has it."""
        keys = self.keys
        if key not in keys:
            self._keep_key(key)
            return key
        while True:
            keys[key] += 1
            unique = f"{key}-{keys[key]}"
            if unique not in keys:
                self._keep_key(unique)
                return unique

    def _keep_key(self, key: str) -> None:
        self.keys[key] = 1
        self.check_count(len(self.keys), self.limits.entries_max, "entries")

    def check_count(self, count: int, most: int, what: str) -> None:
        """Raise `LedgerFileRefused` where there are more than `most`."""
        if count > most:
            raise LedgerFileRefused(
                RefusalCode.TOO_MANY_RECORDS, f"{self.name} has more than {most:,} {what}."
            )

    def undeclared_accounts(self) -> list[Account]:
        """Return an account without a name for each that entries use and no account declares."""
        codes = (code for kind, code in self.undeclared if kind == "account")
        return [Account(code=code) for code in codes if code not in self.accounts]

    def finish(self) -> Report:
        """Compare totals and balances. No record may follow."""
        self._report_undeclared()
        self._check_opening()
        control_totals = self._control_totals()
        for total in control_totals:
            if not total.agrees:
                self.log.add(
                    FindingCode.CONTROL_TOTAL_DIFFERS,
                    f"The file states {total.name} {total.stated:f}; its entries have {total.counted:f}.",
                )
        closing = dict(self.opening)
        for key, amount in self.movements.items():
            closing[key] = closing.get(key, ZERO) + amount
        self._check_closing(closing)
        log = self.log
        return Report(
            counts={name: self.counts[name] for name in sorted(self.counts)},
            lines_unreadable=log.counts[FindingCode.LINE_UNREADABLE],
            debit=self.debit,
            credit=self.credit,
            closing=closing,
            control_totals=control_totals,
            findings=log.findings,
            finding_counts=dict(log.counts),
            repairs=list(log.repairs.values()),
        )

    def _report_undeclared(self) -> None:
        for (kind, code), location in self.undeclared.items():
            if kind == "account" and code not in self.accounts:
                sentence = f"Account {code[:40]} is used, and the file does not declare it."
                self.log.add_at(FindingCode.ACCOUNT_UNDECLARED, sentence, location)
            elif kind != "account" and code and code not in self.vat_codes:
                sentence = f"VAT code {code[:40]} is used, and the file does not declare it."
                self.log.add_at(FindingCode.VAT_CODE_UNDECLARED, sentence, location)

    def _check_opening(self) -> None:
        if not self.opening and self.has_opening_entries:
            self.log.add(
                FindingCode.OPENING_IN_ENTRIES, "The opening balances are entries, of period 0 or a journal."
            )
        elif not self.opening:
            self.log.add(FindingCode.OPENING_BALANCE_MISSING, "The file has no opening balances.")
        sums: dict[str, Decimal] = {}
        for (year, _account), amount in self.opening.items():
            sums[year] = sums.get(year, ZERO) + amount
        for year, amount in sums.items():
            if abs(amount) > ROUNDING:
                self.log.add(
                    FindingCode.OPENING_BALANCE_UNBALANCED,
                    f"The opening balances of {year or 'the file'} add up to {amount:f} instead of nil.",
                )

    def _control_totals(self) -> list[ControlTotal]:
        """Return the stated totals with what was counted, amounts below zero counted as the file does."""
        totals, compared = self.totals, []
        if totals.lines is not None:
            compared.append(
                ControlTotal(name="lines", stated=Decimal(totals.lines), counted=Decimal(self.counts["Line"]))
            )
        if totals.entries is not None:
            counted = self.counts["Entry"]
            if totals.entries == self.counts["Line"]:
                counted = self.counts["Line"]
            compared.append(
                ControlTotal(name="entries", stated=Decimal(totals.entries), counted=Decimal(counted))
            )
        below_zero = totals.negative_debit + totals.negative_credit
        for name, stated, counted_amount in (
            ("total debit", totals.debit, self.debit),
            ("total credit", totals.credit, self.credit),
        ):
            if stated is not None:
                as_written = counted_amount + below_zero
                agrees = abs(stated - as_written) <= ROUNDING
                compared.append(
                    ControlTotal(name=name, stated=stated, counted=as_written if agrees else counted_amount)
                )
        return compared

    def _check_closing(self, closing: dict[tuple[str, str], Decimal]) -> None:
        """Compare the closing balances of the years of which the file has entries."""
        years = {year for year, _account in self.movements}
        for key, stated in sorted(self.stated_closing.items()):
            counted = closing.get(key, ZERO)
            if key[0] in years and abs(stated - counted) > ROUNDING:
                self.log.add(
                    FindingCode.CLOSING_BALANCE_DIFFERS,
                    f"Account {key[1][:40]} closes {key[0]} at {stated:f}; opening balance and entries make"
                    f" {counted:f}.",
                )


def _is_zero(period_number: str) -> bool:
    return bool(period_number) and not period_number.strip("0")
