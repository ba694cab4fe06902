"""What may be asked of a register, and what it may answer. Every register is behind `Register`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from koppel.company_registers.activities import Activity
from koppel.kit.http import HttpClient


class Kind(StrEnum):
    """NUMBER: the company's own. RSIN: the Dutch tax office's, which leads to it. NAME: a search, for want of a number."""

    NUMBER = "number"
    RSIN = "rsin"
    NAME = "name"


class Outcome(StrEnum):
    """UNAVAILABLE says nothing about the company: it is asked again later, and is never shown as "not found"."""

    FOUND = "found"
    CLOSED = "closed"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True)
class Question:
    """`value` is normalised (`registers.numbers`); for NAME it is the accounting system's name."""

    country: str
    kind: Kind
    value: str


@dataclass(frozen=True)
class Candidate:
    """One of several companies that fit."""

    number: str
    name: str
    place: str = ""


@dataclass(frozen=True)
class Answer:
    """`number` and `legal_name` as the register has them; `legal_name` '' when it does not give one.

    `candidates` when AMBIGUOUS. `retry_after_seconds` and `reason` (a stable word) when UNAVAILABLE."""

    outcome: Outcome
    source: str
    number: str = ""
    legal_name: str = ""
    closed_on: date | None = None
    activity: Activity | None = None
    candidates: Sequence[Candidate] = ()
    retry_after_seconds: float = 0.0
    reason: str = ""


class Unavailable(Exception):
    """The register did not answer the question, whatever the answer would have been. `reason` is a stable word."""

    def __init__(self, reason: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class Budget:
    """At most so many calls in so many seconds, from all workers together."""

    calls: int
    seconds: float


class Register(Protocol):
    """One register. Stateless: it is given its address, and asks through `http`."""

    name: str
    budget: Budget

    def answers(self, question: Question) -> bool:
        """Whether this register can be asked this."""

    async def ask(self, http: HttpClient, question: Question, today: date) -> Answer:
        """Raises `Unavailable`."""
