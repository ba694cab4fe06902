"""The queries and answers of a register. Every client implements `Register`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from koppel.company_registers.sectors.activities import Activity
from koppel.kit.http.client import HttpClient


class QueryKind(StrEnum):
    """NUMBER: the company's own. RSIN: the Dutch tax office's, which leads to it. NAME: a search, for want of
    a number.
    """

    NUMBER = "number"
    RSIN = "rsin"
    NAME = "name"


class LookupOutcome(StrEnum):
    """UNAVAILABLE says nothing about the company: it is asked again later, and is never shown as "not
    found".
    """

    FOUND = "found"
    CLOSED = "closed"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class RegisterQuery:
    """`value` is normalised (`koppel.company_registers.numbers`); for NAME it is the accounting system's
    name.
    """

    country: str
    kind: QueryKind
    value: str


@dataclass(frozen=True)
class CompanyCandidate:
    """One of several companies that fit."""

    number: str
    name: str
    city: str = ""


@dataclass(frozen=True)
class RegisterResult:
    """`number` and `legal_name` as the register has them; `legal_name` '' when it does not give one.

    `candidates` when AMBIGUOUS. `retry_after_seconds` and `reason` (a stable word) when UNAVAILABLE.
    """

    outcome: LookupOutcome
    source: str
    number: str = ""
    legal_name: str = ""
    closed_on: date | None = None
    activity: Activity | None = None
    candidates: Sequence[CompanyCandidate] = ()
    retry_after_seconds: float = 0.0
    reason: str = ""


class RegisterUnavailable(Exception):
    """The register gave no usable answer.

    `reason` is a stable code. `is_requested`: the register asked for the pause.
    """

    def __init__(self, reason: str, retry_after_seconds: float = 0.0, *, is_requested: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.is_requested = is_requested


@dataclass(frozen=True)
class RegisterQuota:
    """The most calls in a number of seconds, from all workers together."""

    calls: int
    seconds: float


class Register(Protocol):
    """One register. Stateless: it gets its address, and sends queries through `http`."""

    name: str
    rate_limit: RegisterQuota

    def supports(self, query: RegisterQuery) -> bool:
        """Return whether this register can answer the query."""

    async def look_up(self, http: HttpClient, query: RegisterQuery, today: date) -> RegisterResult:
        """Look the query up. Raises `RegisterUnavailable`."""
