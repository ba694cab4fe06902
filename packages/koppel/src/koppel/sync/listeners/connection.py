"""What happens to runs when their connection stops or recovers: paused ones wait where they are, removed ones are over, and
what waited for a vendor that was down goes on at once.

A run that a worker holds is taken from it: the worker notices at its next page, whose transaction is refused.
"""

from collections.abc import Sequence

from django.db import connection as database

from koppel.connections.hooks import StopReason

_PUT_BACK = """
UPDATE sync_run run SET state = 'queued', not_before = NULL FROM administrations_administration a
 WHERE a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND a.organisation_id = %s AND a.connection_id = %s AND run.state = 'running'
"""
_BEGIN_AGAIN = """
UPDATE sync_run SET state = 'queued', not_before = NULL
 WHERE organisation_id = %s AND administration_id = ANY(%s) AND state = 'running'
"""
_CANCEL = """
UPDATE sync_run run SET state = 'cancelled', finished_at = now(), reason_code = 'connection_removed', reason = ''
  FROM administrations_administration a
 WHERE a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND a.organisation_id = %s AND a.connection_id = %s AND run.state IN ('queued', 'running')
"""
_WAKE = """
UPDATE sync_run run SET not_before = now() FROM administrations_administration a
 WHERE a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND a.organisation_id = %s AND a.connection_id = %s
   AND run.state = 'queued' AND run.not_before > now()
   AND (run.reason_code IN ('outage', 'renewal_slow') OR run.failures > 0)
"""


def stop_runs(organisation_id: int, connection_id: int, halt: StopReason) -> None:
    """In the caller's transaction and scope."""
    statement = _PUT_BACK if halt is StopReason.PAUSE else _CANCEL
    with database.cursor() as cursor:
        cursor.execute(statement, [organisation_id, connection_id])


def restart_runs(organisation_id: int, administration_ids: Sequence[int]) -> None:
    """Another company stands there: what is read now is not written, and the run begins again with the guard, which ends it."""
    with database.cursor() as cursor:
        cursor.execute(_BEGIN_AGAIN, [organisation_id, list(administration_ids)])


def resume_waiting_runs(organisation_id: int, connection_id: int) -> None:
    """The vendor answers again. In the caller's transaction and scope."""
    with database.cursor() as cursor:
        cursor.execute(_WAKE, [organisation_id, connection_id])
