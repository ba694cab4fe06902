"""The state of a company's lookup at the registers."""

from dataclasses import dataclass
from datetime import date, datetime

from koppel.company_registers.clients.protocol import CompanyCandidate, LookupOutcome, RegisterQuery
from koppel.company_registers.company_names import name_without_legal_form
from koppel.company_registers.sectors.activities import Activity, Section, sector_of


@dataclass(frozen=True)
class LookupResult:
    """The state of a query."""

    query: RegisterQuery
    outcome: LookupOutcome | None = None
    """None: no answer yet."""
    is_waiting: bool = False
    """Whether the query is under way, or will be repeated."""
    source: str = ""
    number: str = ""
    legal_name: str = ""
    closed_on: date | None = None
    activity: Activity | None = None
    candidates: tuple[CompanyCandidate, ...] = ()
    answered_at: datetime | None = None
    reason: str = ""

    @property
    def exists(self) -> bool:
        """Return whether the company is in the register, active or closed."""
        return self.outcome in (LookupOutcome.FOUND, LookupOutcome.CLOSED)

    @property
    def sector(self) -> Section | None:
        """The sector of the activity code; None when the register states no code, or one without a sector."""
        return sector_of(self.activity.code, self.activity.scheme) if self.activity else None

    def has_different_name(self, name: str) -> bool:
        """Return whether the register's name differs beyond capitals, dots and the legal form."""
        return (
            self.exists
            and bool(self.legal_name)
            and name_without_legal_form(self.legal_name) != name_without_legal_form(name)
        )
