"""The reaction of a run to each of the connector contract's errors: one table from class to policy."""

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
    """WAIT: requeue the run. FAIL: end it, a person may retry. BLOCK:
    end it, a person must look at the company.

    SIGN_IN: end it, a person must sign in again."""

    WAIT = "wait"
    FAIL = "fail"
    BLOCK = "block"
    SIGN_IN = "sign_in"


@dataclass(frozen=True)
class ErrorPolicy:
    """`issue`: the code of the issue to raise. `counts_as_failure`: after `FAILURES_MAX` of these in a row
    the run fails."""

    action: Action
    issue: SyncIssue | None = None
    counts_as_failure: bool = False


POLICIES: dict[type[ConnectorError], ErrorPolicy] = {
    ConsentLost: ErrorPolicy(Action.SIGN_IN),
    ConsentDenied: ErrorPolicy(Action.SIGN_IN),
    NotConsented: ErrorPolicy(Action.BLOCK, SyncIssue.NOT_CONSENTED),
    # Whoever raises `OtherCompany` has raised the issue already.
    OtherCompany: ErrorPolicy(Action.BLOCK),
    SetupMissing: ErrorPolicy(Action.BLOCK, SyncIssue.SETUP_MISSING),
    RateLimited: ErrorPolicy(Action.WAIT),
    Unreachable: ErrorPolicy(Action.WAIT, counts_as_failure=True),
    UnexpectedResponse: ErrorPolicy(Action.FAIL, SyncIssue.UNEXPECTED_RESPONSE),
}


def policy_for(error: ConnectorError, failures: int) -> ErrorPolicy:
    """Return the policy for `error`, after `failures` earlier failures without a page in between. A slow
    token refresh only makes the run wait."""
    if error.code == RENEWAL_SLOW:
        return ErrorPolicy(Action.WAIT)
    policy = POLICIES[type(error)]
    if policy.counts_as_failure and failures + 1 >= FAILURES_MAX:
        return ErrorPolicy(Action.FAIL, SyncIssue.SYNC_FAILED)
    return policy


def wait_seconds(error: ConnectorError, failures: int) -> float:
    """Return how long to wait: at least what the vendor asked for, for failures at least an exponential
    backoff; with jitter."""
    retry_after = float(getattr(error, "retry_after_seconds", 0))
    if not POLICIES[type(error)].counts_as_failure or error.code == RENEWAL_SLOW:
        return retry_after + random.uniform(0, 1)  # noqa: S311 - jitter
    pause = VENDOR_BACKOFF.seconds(failures)
    backoff = max(retry_after if failures else min(retry_after, pause), pause)
    return max(min(with_jitter(backoff), VENDOR_BACKOFF.cap_seconds), error.requested_pause_seconds)
