"""The queries and answers of a register. Every client implements `Register`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from koppel.company_registers.sectors.activities import Activity
from koppel.kit.http.client import HttpClient


class RegisterCode(StrEnum):
    """The registers that Koppel can query: the stored `Lookup.source`."""

    BRREG = "brreg"
    KVK = "kvk"
    PRH = "prh"
    VIES = "vies"


class QueryKind(StrEnum):
    """The ways to look a company up."""

    NUMBER = "number"
    """By the company's own number."""
    RSIN = "rsin"
    """By the number of the Dutch tax office, which leads to it."""
    NAME = "name"
    """By name, for want of a number."""


class LookupOutcome(StrEnum):
    """The outcomes of a lookup."""

    FOUND = "found"
    CLOSED = "closed"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    UNAVAILABLE = "unavailable"
    """Says nothing about the company: the register is asked again later, and the page never shows "not
    found".
    """


@dataclass(frozen=True, kw_only=True)
class RegisterQuery:
    """A query at a register."""

    country: str
    kind: QueryKind
    value: str
    """Normalised (`koppel.company_registers.numbers`); for NAME the accounting system's name."""


@dataclass(frozen=True, kw_only=True)
class CompanyCandidate:
    """One of several companies that fit."""

    number: str
    name: str
    city: str = ""
    is_closed: bool = False
    """Whether the register's search says that it is deregistered."""


@dataclass(frozen=True)
class RegisterResult:
    """The answer of a register."""

    outcome: LookupOutcome
    source: str
    number: str = ""
    legal_name: str = ""
    """'' when the register does not give one."""
    closed_on: date | None = None
    activity: Activity | None = None
    candidates: Sequence[CompanyCandidate] = ()
    """When AMBIGUOUS."""
    retry_after_seconds: float = 0.0
    """When UNAVAILABLE."""
    reason: str = ""
    """A stable word, when UNAVAILABLE."""


class RegisterUnavailable(Exception):
    """The register gave no usable answer.

    `reason` is a stable code. `is_requested`: the register asked for the pause.
    """

    def __init__(self, reason: str, retry_after_seconds: float = 0.0, *, is_requested: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds
        self.is_requested = is_requested


REGISTER_TITLES: Mapping[str, str] = {
    RegisterCode.KVK: "KVK",
    RegisterCode.BRREG: "Enhetsregisteret",
    RegisterCode.PRH: "PRH",
    RegisterCode.VIES: "VIES",
}
"""The registers' own names."""


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
