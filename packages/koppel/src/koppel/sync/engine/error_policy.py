"""The reaction of a run to each error of the connector contract: one table from error class to policy."""

import random
from dataclasses import dataclass
from enum import StrEnum

from koppel.connections.errors import OtherCompany
from koppel.connections.vault import RENEWAL_SLOW
from koppel.connector.errors import (
    ConnectorError,
    ConsentDenied,
    ConsentLost,
    NotConsented,
    RateLimited,
    SetupMissing,
    UnexpectedResponse,
    Unreachable,
)
from koppel.kit.backoff import Backoff, with_jitter
from koppel.sync.issue_types import SyncIssue

FAILURES_MAX = 8
VENDOR_BACKOFF = Backoff(base_seconds=2.0, cap_seconds=300.0)


class Action(StrEnum):
    """The fate of a run after an error."""

    WAIT = "wait"
    """The run is requeued."""
    FAIL = "fail"
    """The run ends; it can be retried."""
    BLOCK = "block"
    """The run ends; the company must be reviewed."""
    SIGN_IN = "sign_in"
    """The run ends; the connection needs a new sign-in."""


@dataclass(frozen=True)
class ErrorPolicy:
    """The reaction to an error."""

    action: Action
    issue: SyncIssue | None = None
    """The code of the issue to raise."""
    counts_as_failure: bool = False
    """Whether the run fails after `FAILURES_MAX` of these errors in a row."""


POLICIES: dict[type[ConnectorError], ErrorPolicy] = {
    ConsentLost: ErrorPolicy(Action.SIGN_IN),
    ConsentDenied: ErrorPolicy(Action.SIGN_IN),
    NotConsented: ErrorPolicy(Action.BLOCK, SyncIssue.NOT_CONSENTED),
    # The code that raises `OtherCompany` has raised the issue already.
    OtherCompany: ErrorPolicy(Action.BLOCK),
    SetupMissing: ErrorPolicy(Action.BLOCK, SyncIssue.SETUP_MISSING),
    RateLimited: ErrorPolicy(Action.WAIT),
    Unreachable: ErrorPolicy(Action.WAIT, counts_as_failure=True),
    UnexpectedResponse: ErrorPolicy(Action.FAIL, SyncIssue.UNEXPECTED_RESPONSE),
}


def policy_for(error: ConnectorError, failures: int) -> ErrorPolicy:
    """Return the policy for `error` after `failures` consecutive failures without progress.

    A slow token refresh only makes the run wait.
    """
    if error.code == RENEWAL_SLOW:
        return ErrorPolicy(Action.WAIT)
    policy = _policy_of_class(type(error))
    if policy.counts_as_failure and failures + 1 >= FAILURES_MAX:
        return ErrorPolicy(Action.FAIL, SyncIssue.SYNC_FAILED)
    return policy


def wait_seconds(error: ConnectorError, failures: int) -> float:
    """Return the seconds to wait, with jitter.

    Never shorter than a requested pause; after a failure, the backoff, at most 300 s.
    """
    retry_after = float(getattr(error, "retry_after_seconds", 0))
    if not _policy_of_class(type(error)).counts_as_failure or error.code == RENEWAL_SLOW:
        return retry_after + random.uniform(0, 1)  # noqa: S311 - jitter
    pause = VENDOR_BACKOFF.seconds(failures)
    backoff = max(retry_after, pause) if failures else pause
    return max(min(with_jitter(backoff), VENDOR_BACKOFF.cap_seconds), error.requested_pause_seconds)


def _policy_of_class(error_class: type[ConnectorError]) -> ErrorPolicy:
    """Return the policy of the class, or of the nearest base class that has one.

    Connectors of others may derive their own errors. One of no known class contradicts the contract.
    """
    policies = (POLICIES[base] for base in error_class.__mro__ if base in POLICIES)
    return next(policies, POLICIES[UnexpectedResponse])
