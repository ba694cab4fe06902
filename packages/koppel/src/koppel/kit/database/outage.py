"""Temporary errors of the database, for syncs, jobs, bulk actions and the vault.

An outage is waited out, however long, and does not count as a failure. Every other error is a bug in Koppel,
retried a few times.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import psycopg
from django.db import connection
from django.db import utils as django_errors
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.jobs import Job

from koppel.kit.backoff import Backoff

OUTAGE_CLASSES = ("08", "40", "53", "57")
"""SQLSTATE classes: connection lost; transaction rolled back; out of memory, disk or connections; cancelled
or shut down.
"""
OUTAGE_STATES = ("25006", "25P03", "26000", "55P03")
"""Read only, as on a standby; transaction idle for too long, as of a suspended process; prepared statement
lost, as behind a pooler; lock timeout.
"""
HARMLESS_CLASSES = ("40", "55")
"""These leave the session usable."""
OUTAGE_BACKOFF = Backoff(base_seconds=5.0, cap_seconds=60.0)
P = ParamSpec("P")
T = TypeVar("T")
_WITHOUT_STATE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    django_errors.OperationalError,
    django_errors.InterfaceError,
)
"""No connection, or none left in the pool (`PoolTimeout`): there is no SQLSTATE."""


def is_outage(error: BaseException) -> bool:
    """Return whether an error is temporary, even if Django or Procrastinate wrapped it."""
    state = sqlstate_of(error)
    if state is not None:
        return state[:2] in OUTAGE_CLASSES or state in OUTAGE_STATES
    return any(isinstance(cause, _WITHOUT_STATE) for cause in _chain(error))


def repeat_after_outage(work: Callable[P, T]) -> Callable[P, T]:
    """Decorate work of one transaction: repeat it once when PostgreSQL rolled it back for a temporary reason.

    Not without an SQLSTATE, when the connection was lost and the commit may have succeeded, and not within a
    transaction of the caller.
    """

    @wraps(work)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        is_nested = connection.in_atomic_block
        try:
            return work(*args, **kwargs)
        except django_errors.Error as error:
            if is_nested or sqlstate_of(error) is None or not is_outage(error):
                raise
        connection.close()
        return work(*args, **kwargs)

    return wrapper


def needs_new_session(error: BaseException) -> bool:
    """Return whether to continue in a new session: this one may be read-only or have short timeouts."""
    return is_outage(error) and not (sqlstate_of(error) or "").startswith(HARMLESS_CLASSES)


def sqlstate_of(error: BaseException) -> str | None:
    """Return the SQLSTATE, or None when PostgreSQL sent none."""
    states = (cause.sqlstate for cause in _chain(error) if isinstance(cause, psycopg.Error))
    return next((state for state in states if state), None)


def _chain(error: BaseException) -> list[BaseException]:
    errors = [error]
    while (cause := errors[-1].__cause__) is not None and cause not in errors:
        errors.append(cause)
    return errors


class RetryAfterOutage(BaseRetryStrategy):
    """A retry strategy: repeats a job after an outage, at growing intervals and without limit.

    After other errors `otherwise` decides; without it the job is not repeated.
    """

    def __init__(self, otherwise: BaseRetryStrategy | None = None) -> None:
        self._otherwise = otherwise

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if is_outage(exception):
            return RetryDecision(retry_in={"seconds": round(OUTAGE_BACKOFF.jittered_seconds(job.attempts))})
        return self._otherwise.get_retry_decision(exception=exception, job=job) if self._otherwise else None
