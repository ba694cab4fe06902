"""What happens to runs when their connection stops or recovers: paused ones wait where they are, removed ones
are over, and what waited for a vendor that was down goes on at once.

A run that a worker holds is taken from it: the worker notices at its next page, whose transaction is refused.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection as database

from koppel.connections.hooks import StopReason
from koppel.connections.vault import RENEWAL_SLOW
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import RunReason, RunState

_SQL = load_statements("koppel.sync")
_STATES = {"queued": RunState.QUEUED, "running": RunState.RUNNING, "cancelled": RunState.CANCELLED}
_WAITING_CODES = [RunReason.OUTAGE.value, RENEWAL_SLOW]
"""Why a run waits that goes on as soon as the vendor answers again."""


def stop_runs(organisation_id: int, connection_id: int, halt: StopReason) -> None:
    """Requeue or cancel the open runs of a connection, in the caller's transaction and scope."""
    statement = (
        _SQL["requeue_runs_of_connection"] if halt is StopReason.PAUSE else _SQL["cancel_runs_of_connection"]
    )
    parameters = _params(organisation_id, connection=connection_id, code=RunReason.CONNECTION_REMOVED)
    with database.cursor() as cursor:
        cursor.execute(statement, parameters)


def restart_runs(organisation_id: int, administration_ids: Sequence[int]) -> None:
    """Requeue the runs of administrations whose id has another company.

    What is read now is not written, and the run begins again with the guard, which ends it.
    """
    parameters = _params(organisation_id, administrations=list(administration_ids))
    with database.cursor() as cursor:
        cursor.execute(_SQL["requeue_runs_of_administrations"], parameters)


def resume_waiting_runs(organisation_id: int, connection_id: int) -> None:
    """Let runs go on at once whose vendor answers again, in the caller's transaction and scope."""
    parameters = _params(organisation_id, connection=connection_id, codes=_WAITING_CODES)
    with database.cursor() as cursor:
        cursor.execute(_SQL["resume_waiting_runs_of_connection"], parameters)


def _params(organisation_id: int, **parameters: Any) -> dict[str, Any]:
    return {**_STATES, "organisation": organisation_id, **parameters}
