"""What follows from each of the contract's errors: the one table from class to reaction."""

import random
from dataclasses import dataclass
from enum import StrEnum

from koppel.connections.errors import OtherCompany
from koppel.connections.vault.refresh_policy import RENEWAL_SLOW
from koppel.connector.errors import (
    ConnectorError,
    ConsentDenied,
    ConsentLost,
    ContractBroken,
    NotConsented,
    RateLimited,
    SetupMissing,
    TokenStale,
    Unreachable,
)

FAILURES_MAX = 8
BACK_OFF_SECONDS = 2.0
BACK_OFF_SECONDS_MAX = 300.0


class Next(StrEnum):
    """WAIT: back in the queue, holding no worker. FAIL: over, a person may retry. BLOCK: over, the company needs a person.
    SIGN_IN: over, the connection needs a person."""

    WAIT = "wait"
    FAIL = "fail"
    BLOCK = "block"
    SIGN_IN = "sign_in"


@dataclass(frozen=True)
class Reaction:
    """`counts`: this is a failure that is not repeated for ever."""

    next: Next
    issue: str = ""
    counts: bool = False


REACTIONS: dict[type[ConnectorError], Reaction] = {
    ConsentLost: Reaction(Next.SIGN_IN),
    ConsentDenied: Reaction(Next.SIGN_IN),
    NotConsented: Reaction(Next.BLOCK, "not_consented"),
    # The guard itself has raised the question.
    OtherCompany: Reaction(Next.BLOCK),
    SetupMissing: Reaction(Next.BLOCK, "setup_missing"),
    RateLimited: Reaction(Next.WAIT),
    Unreachable: Reaction(Next.WAIT, counts=True),
    TokenStale: Reaction(Next.WAIT, counts=True),
    ContractBroken: Reaction(Next.FAIL, "contract_broken"),
}


def reaction_to(error: ConnectorError, failures: int) -> Reaction:
    """`failures` counts earlier runs into this wall without a page in between. A slow renewal is no wall: it is waited for."""
    if error.code == RENEWAL_SLOW:
        return Reaction(Next.WAIT)
    found = REACTIONS[type(error)]
    if found.counts and failures + 1 >= FAILURES_MAX:
        return Reaction(Next.FAIL, "sync_failed")
    return found


def wait_seconds(error: ConnectorError, failures: int) -> float:
    """What the vendor asks for, and for failures at least an exponential pause; spread, so that not all come back at once."""
    asked = float(getattr(error, "retry_after_seconds", 0))
    if not REACTIONS[type(error)].counts or error.code == RENEWAL_SLOW:
        return asked + random.uniform(0, 1)  # noqa: S311 - jitter
    pause: float = min(BACK_OFF_SECONDS * 2**failures, BACK_OFF_SECONDS_MAX)
    wanted = max(asked if failures else min(asked, pause), pause)
    return min(wanted * random.uniform(0.8, 1.2), BACK_OFF_SECONDS_MAX)  # noqa: S311 - jitter
