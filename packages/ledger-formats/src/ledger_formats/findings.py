"""What a reader noticed: findings, and what it repaired."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from ledger_formats.limits import DEFAULT


class Severity(StrEnum):
    """INFO is good to know. WARNING was read, and a person should look. With an ERROR the books are not those
    of the file, or do not agree with themselves.
    """

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class FindingCode(StrEnum):
    """The kinds of finding. `SEVERITIES` has how bad each is."""

    LINE_UNREADABLE = "line_unreadable"
    BALANCE_UNREADABLE = "balance_unreadable"
    RECORD_UNREADABLE = "record_unreadable"
    ENTRY_UNBALANCED = "entry_unbalanced"
    CONTROL_TOTAL_DIFFERS = "control_total_differs"
    CLOSING_BALANCE_DIFFERS = "closing_balance_differs"
    VERSION_DIFFERS = "version_differs"
    REGISTRATION_NUMBER_MISSING = "registration_number_missing"
    OPENING_BALANCE_MISSING = "opening_balance_missing"
    OPENING_BALANCE_UNBALANCED = "opening_balance_unbalanced"
    OPENING_IN_ENTRIES = "opening_in_entries"
    ACCOUNT_UNDECLARED = "account_undeclared"
    ACCOUNT_DECLARED_TWICE = "account_declared_twice"
    VAT_CODE_UNDECLARED = "vat_code_undeclared"
    DATE_OUTSIDE_YEAR = "date_outside_year"
    ENTRY_WITHOUT_LINES = "entry_without_lines"
    VALUE_UNREADABLE = "value_unreadable"
    TEXT_MISREAD = "text_misread"
    STRUCK_LINES = "struck_lines"
    NOT_READ = "not_read"


class RepairCode(StrEnum):
    """The kinds of repair: what was read differently from how the file writes it."""

    ENCODING = "encoding"
    NAMESPACE = "namespace"
    CONTROL_CHARACTERS = "control_characters"
    AMOUNT_NOTATION = "amount_notation"
    NEGATIVE_AMOUNT = "negative_amount"
    LINE_SIGN = "line_sign"
    DATE_COMPLETED = "date_completed"
    CODE_BLANKS = "code_blanks"
    NUMBER_REPEATED = "number_repeated"
    OPENING_BALANCE = "opening_balance"
    YEAR_COMPLETED = "year_completed"


SEVERITIES = {
    FindingCode.LINE_UNREADABLE: Severity.ERROR,
    FindingCode.BALANCE_UNREADABLE: Severity.ERROR,
    FindingCode.ENTRY_UNBALANCED: Severity.ERROR,
    FindingCode.CONTROL_TOTAL_DIFFERS: Severity.ERROR,
    FindingCode.CLOSING_BALANCE_DIFFERS: Severity.ERROR,
    FindingCode.OPENING_IN_ENTRIES: Severity.INFO,
    FindingCode.ENTRY_WITHOUT_LINES: Severity.INFO,
    FindingCode.STRUCK_LINES: Severity.INFO,
    FindingCode.NOT_READ: Severity.INFO,
}
"""Of every code that is no warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where: a line, counted from 1, and for XML the element; 0 and '' mean the whole file.

    `file` is the name of the part, in a ledger of several files; '' where it is one file.
    """

    line: int = 0
    element: str = ""
    file: str = ""

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line else ""
        line_and_element = f"{line} ({self.element})" if line and self.element else line or self.element
        return ", ".join(filter(None, (self.file, line_and_element))) or "the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a person should know about the file, in one sentence."""

    code: FindingCode
    location: Location
    sentence: str

    @property
    def severity(self) -> Severity:
        return SEVERITIES.get(self.code, Severity.WARNING)


@dataclass(slots=True, kw_only=True)
class Repair:
    """What was read differently from how the file writes it: how often, and where first."""

    code: RepairCode
    first: Location
    sentence: str
    count: int = 1


@dataclass(slots=True)
class FindingLog:
    """Findings and repairs of one pass. All are counted; `findings` keeps the first `findings_max`.

    `file` is the part that is being read, in a ledger of several files. Sentences then begin with it.
    """

    findings_max: int = DEFAULT.findings_max
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[FindingCode] = field(default_factory=Counter)
    repairs: dict[tuple[str, RepairCode], Repair] = field(default_factory=dict)
    file: str = ""

    def location(self, line: int = 0, element: str = "") -> Location:
        """Return a place in the file that is being read."""
        return Location(line=line, element=element, file=self.file)

    def add(self, code: FindingCode, sentence: str, line: int = 0, element: str = "") -> None:
        self.add_at(code, sentence, self.location(line, element))

    def add_at(self, code: FindingCode, sentence: str, location: Location) -> None:
        self.counts[code] += 1
        if len(self.findings) < self.findings_max:
            self.findings.append(Finding(code=code, location=location, sentence=_of_file(location, sentence)))

    def add_repair(
        self, code: RepairCode, sentence: str, line: int = 0, element: str = "", count: int = 1
    ) -> None:
        """Count a repair. The sentence of the first of its kind in each file is kept."""
        if repair := self.repairs.get((self.file, code)):
            repair.count += count
        else:
            location = self.location(line, element)
            self.repairs[(self.file, code)] = Repair(
                code=code, first=location, sentence=_of_file(location, sentence), count=count
            )


def _of_file(location: Location, sentence: str) -> str:
    return f"{location.file}: {sentence}" if location.file else sentence
