"""How a run ends for people: the administration's state, issues, notices. Each use case is one transaction in scope.

Every sync passes here, most of them with nothing to tell: what all of them ask is SQL, which Django does not have to compile.
"""

from datetime import datetime

from django.db import connection
from django.urls import reverse

from koppel.administrations.models import Administration, Status
from koppel.administrations.services import mark_synced, set_status
from koppel.connections.health import require_reauth
from koppel.connector.errors import ConnectorError
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.services import close_event_for, open_event
from koppel.sync.checks import check, is_due
from koppel.sync.engine.error_policy import Action, ErrorPolicy
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.models import RunState
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.import_completion import notify_import_finished

_CLOSE = """
UPDATE sync_run SET state = %s, finished_at = now(), reason_code = %s, reason = %s
 WHERE organisation_id = %s AND id = %s AND attempt = %s AND state = 'running'
"""
_COMPLETE_AS_OF = """
SELECT min(complete_as_of) FROM sync_checkpoint
 WHERE organisation_id = %s AND administration_id = %s AND resource = ANY(%s) AND available
"""
RUN_ISSUES = ("not_consented", "setup_missing", "unexpected_response", "sync_failed", "database_errors")


def succeed(claimed: ClaimedRun, plan: SyncPlan) -> bool:
    """Every available resource that is wanted was read; the run is closed in the same transaction. False when the run is no
    longer ours, and then nothing is different."""
    subject = ("administration", claimed.administration_id)
    with organisation_scope(claimed.organisation_id):
        if not _finish_run(claimed, RunState.SUCCEEDED, "", ""):
            return False
        first = mark_synced(claimed.organisation_id, claimed.administration_id, _complete_as_of(claimed, plan))
        resolve_issues(claimed.organisation_id, subject, *RUN_ISSUES)
        close_event_for(claimed.organisation_id, "sync_failing", _key(claimed), [claimed.administration_id])
        if first or is_due(claimed):
            check(claimed.organisation_id, claimed.administration_id)
        if first:
            notify_import_finished(claimed.organisation_id, claimed.administration_id)
    return True


def fail(claimed: ClaimedRun, policy: ErrorPolicy, code: str, message: str, state: RunState = RunState.FAILED) -> None:
    """Over, and a person is needed. The run is closed and the person told in one transaction: a worker that dies here leaves
    both to its successor, and one that lost the run tells nothing."""
    subject = ("administration", claimed.administration_id)
    with organisation_scope(claimed.organisation_id):
        if not _finish_run(claimed, state, code, message):
            return
        resolve_issues(claimed.organisation_id, subject, "database_errors")
        if policy.action is Action.SIGN_IN:
            require_reauth(claimed.organisation_id, claimed.connection_id, message)
        if policy.issue:
            raise_issue(claimed.organisation_id, policy.issue, subject, {"reason": message, "code": code})
        administration = Administration.objects.get(
            organisation_id=claimed.organisation_id, pk=claimed.administration_id
        )
        status = Status.BLOCKED if policy.action is Action.BLOCK else Status.FAILED
        if policy.action is Action.BLOCK or administration.activated_at is None:
            set_status(claimed.organisation_id, claimed.administration_id, status, code=code, reason=message)
        if policy.action is not Action.SIGN_IN:
            _notify_failure(claimed, administration.name, message)
        if administration.activated_at is None:
            notify_import_finished(claimed.organisation_id, claimed.administration_id)


def raise_outage_issue(claimed: ClaimedRun, code: str) -> None:
    """Our own database has answered with errors for long; Koppel goes on trying. `code` is PostgreSQL's, if it gave one."""
    with organisation_scope(claimed.organisation_id):
        raise_issue(
            claimed.organisation_id, "database_errors", ("administration", claimed.administration_id), {"code": code}
        )


def fail_of_error(claimed: ClaimedRun, policy: ErrorPolicy, error: ConnectorError) -> None:
    fail(claimed, policy, error.code, str(error))


def _finish_run(claimed: ClaimedRun, state: RunState, code: str, message: str) -> bool:
    """False when the run is no longer ours."""
    with connection.cursor() as cursor:
        cursor.execute(_CLOSE, [state, code, message, claimed.organisation_id, claimed.id, claimed.attempt])
        return bool(cursor.rowcount == 1)


def _complete_as_of(claimed: ClaimedRun, plan: SyncPlan) -> datetime:
    """That of the resource which is furthest behind."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE_AS_OF, [claimed.organisation_id, claimed.administration_id, list(plan.resources)])
        row: datetime = cursor.fetchone()[0]
        return row


def _notify_failure(claimed: ClaimedRun, name: str, message: str) -> None:
    """All that fails of one connection is one event, told when it has not healed by itself."""
    open_event(
        claimed.organisation_id,
        "sync_failing",
        _key(claimed),
        subject=("connection", claimed.connection_id),
        administrations={claimed.administration_id: {"name": name, "reason": message}},
        link=f"{reverse('administrations:list')}?connection={claimed.connection_id}",
    )


def _key(claimed: ClaimedRun) -> str:
    return f"connection {claimed.connection_id}"
