"""Sync hooks for connections: requeue or cancel runs that stop, resume runs whose vendor recovered.

A run that a worker holds is taken away from it: the transaction of its next page is refused.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection as django_connection

from koppel.connections.hooks import StopReason
from koppel.connections.vault import RENEWAL_SLOW
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import RunReason, RunState

_SQL = load_statements("koppel.sync")
_STATES = {"queued": RunState.QUEUED, "running": RunState.RUNNING, "cancelled": RunState.CANCELLED}
_WAITING_CODES = [RunReason.OUTAGE.value, RENEWAL_SLOW]
"""Reasons for waiting that end as soon as the vendor answers again."""


def stop_runs(organisation_id: int, connection_id: int, halt: StopReason) -> None:
    """Requeue or cancel the open runs of a connection, in the caller's transaction and scope."""
    statement = (
        _SQL["requeue_runs_of_connection"] if halt is StopReason.PAUSE else _SQL["cancel_runs_of_connection"]
    )
    parameters = _params(organisation_id, connection=connection_id, code=RunReason.CONNECTION_REMOVED)
    with django_connection.cursor() as cursor:
        cursor.execute(statement, parameters)


def restart_runs(organisation_id: int, administration_ids: Sequence[int]) -> None:
    """Requeue the runs of administrations whose company id now belongs to another company.

    Pages being read are not written. The next attempt starts with the identity check, which ends the run.
    """
    parameters = _params(organisation_id, administrations=list(administration_ids))
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL["requeue_runs_of_administrations"], parameters)


def resume_waiting_runs(organisation_id: int, connection_id: int) -> None:
    """Let runs continue at once when their vendor answers again, in the caller's transaction and scope."""
    parameters = _params(organisation_id, connection=connection_id, codes=_WAITING_CODES)
    with django_connection.cursor() as cursor:
        cursor.execute(_SQL["resume_waiting_runs_of_connection"], parameters)


def _params(organisation_id: int, **parameters: Any) -> dict[str, Any]:
    return {**_STATES, "organisation": organisation_id, **parameters}
