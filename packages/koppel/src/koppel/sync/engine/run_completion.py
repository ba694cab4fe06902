"""The end of a run: its state, the administration's status, issues and notifications.

Each function is one transaction in the organisation's scope. Every sync ends here, so the statements are
plain SQL: compiling these queries in Django costs more than executing them.
"""

from datetime import datetime

from django.db import connection as django_connection
from django.urls import reverse
from django.utils.translation import gettext_noop

from koppel.administrations.models import Administration, Status
from koppel.administrations.services import mark_synced, set_status
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.health import require_reauth
from koppel.issues.services import open_contexts, raise_issue, resolve_issues
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.sentences import stored_sentence
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import close_event_for, open_event
from koppel.sync.checks import checks_are_due, reconcile_check_issues
from koppel.sync.engine.error_policy import POLICIES, Action, ErrorPolicy
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.event_types import SyncEvent
from koppel.sync.issue_types import SyncIssue
from koppel.sync.models import RunReason, RunState
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.import_completion import notify_import_finished
from koppel.sync.runs.services import request_full_read

_SQL = load_statements("koppel.sync")
RUN_ISSUES = (
    *sorted({policy.issue for policy in POLICIES.values() if policy.issue}),
    SyncIssue.SYNC_FAILED,
    SyncIssue.DATABASE_ERRORS,
)
"""Issues that a run may raise about its administration, and that a successful run resolves."""
KILLED_SENTENCE = gettext_noop(
    "This sync ended the process that executed it (%(cause)s), mostly for lack of memory. Other syncs go on. "
    "The log of the worker has the details."
)


def succeed(run: ClaimedRun, plan: SyncPlan, committed_pages: int) -> bool:
    """Close a run that read every available resource of its plan.

    Returns False, and changes nothing, when this worker no longer holds the run, or when the database lacks
    pages that this worker has committed, as after a failover.
    """
    subject = Subject(SubjectKind.ADMINISTRATION, run.administration_id)
    with organisation_scope(run.organisation_id):
        if not _finish_run(run, RunState.SUCCEEDED, "", "", committed_pages):
            return False
        first = mark_synced(run.organisation_id, run.administration_id, _complete_as_of(run, plan))
        resolve_issues(run.organisation_id, subject, *RUN_ISSUES)
        close_event_for(run.organisation_id, SyncEvent.SYNC_FAILING, _key(run), [run.administration_id])
        if first or checks_are_due(run):
            differences_before = _open_differences(run, subject)
            reconcile_check_issues(run.organisation_id, run.administration_id)
            differences = _open_differences(run, subject)
            # Deleted records are announced nowhere, nor are balances that changed with those of an earlier
            # year: a new difference may be one. A full read has seen it all.
            if differences - differences_before and not (first or run.full):
                request_full_read(run.organisation_id, run.administration_id)
        if first:
            notify_import_finished(run.organisation_id, run.administration_id)
    return True


def _open_differences(run: ClaimedRun, subject: Subject) -> set[tuple[str, str, str]]:
    """Return the open issues that a full read may resolve: code, detail and facts."""
    return {
        (code, *issue)
        for code in (SyncIssue.BALANCE_DIFFERS, SyncIssue.YEARS_NOT_JOINED)
        for issue in open_contexts(run.organisation_id, subject, code)
    }


def fail(
    run: ClaimedRun, policy: ErrorPolicy, code: str, message: str, state: RunState = RunState.FAILED
) -> None:
    """Close a run that needs attention, and notify, in one transaction.

    If the worker dies here, the next attempt does both. A worker that lost the run changes and notifies
    nothing.
    """
    subject = Subject(SubjectKind.ADMINISTRATION, run.administration_id)
    with organisation_scope(run.organisation_id):
        if not _finish_run(run, state, code, message):
            return
        resolve_issues(run.organisation_id, subject, SyncIssue.DATABASE_ERRORS)
        if policy.action is Action.SIGN_IN:
            require_reauth(run.organisation_id, run.connection_id, message)
        if policy.issue:
            raise_issue(run.organisation_id, policy.issue, subject, {"reason": message, "code": code})
        administration = Administration.objects.in_organisation(run.organisation_id).get(
            pk=run.administration_id
        )
        status = Status.BLOCKED if policy.action is Action.BLOCK else Status.FAILED
        if policy.action is Action.BLOCK or administration.activated_at is None:
            set_status(run.organisation_id, run.administration_id, status, code=code, reason=message)
        if policy.action is not Action.SIGN_IN:
            _notify_failure(run, administration.name, message)
        if administration.activated_at is None:
            notify_import_finished(run.organisation_id, run.administration_id)


def fail_killed_run(run: ClaimedRun, exit_code: int) -> None:
    """Close a run whose process was killed, for lack of memory or by a fault of a library, with an issue."""
    cause = f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
    message = stored_sentence(KILLED_SENTENCE, cause=cause)
    fail(run, ErrorPolicy(Action.FAIL, SyncIssue.SYNC_FAILED), RunReason.PROCESS_KILLED, message)


def raise_outage_issue(run: ClaimedRun, code: str) -> None:
    """Raise an issue: the database has returned errors for a long time.

    `code` is PostgreSQL's SQLSTATE, or the class of the error.
    """
    with organisation_scope(run.organisation_id):
        raise_issue(
            run.organisation_id,
            SyncIssue.DATABASE_ERRORS,
            Subject(SubjectKind.ADMINISTRATION, run.administration_id),
            {"code": code},
        )


def _finish_run(
    run: ClaimedRun, state: RunState, code: str, message: str, committed_pages: int | None = None
) -> bool:
    """Store the state of the run. Returns False when this worker no longer holds it, or when the run does not
    have this many pages.
    """
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["finish_run"],
            {
                "state": state,
                "code": code,
                "reason": message,
                "organisation": run.organisation_id,
                "run": run.id,
                "attempt": run.attempt,
                "running": RunState.RUNNING,
                "pages": committed_pages,
            },
        )
        return bool(cursor.rowcount == 1)


def _complete_as_of(run: ClaimedRun, plan: SyncPlan) -> datetime:
    """Return the oldest `complete_as_of` of the plan's resources."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["get_complete_as_of"],
            {
                "organisation": run.organisation_id,
                "administration": run.administration_id,
                "resources": list(plan.resources),
            },
        )
        row: datetime = cursor.fetchone()[0]
        return row


def _notify_failure(run: ClaimedRun, name: str, message: str) -> None:
    """Add the failure to the connection's event, which is sent unless the sync recovers first."""
    open_event(
        run.organisation_id,
        SyncEvent.SYNC_FAILING,
        _key(run),
        subject=Subject(SubjectKind.CONNECTION, run.connection_id),
        administrations={run.administration_id: {"name": name, "reason": message}},
        link=f"{reverse('administrations:list')}?connection={run.connection_id}",
    )


def _key(run: ClaimedRun) -> EventKey:
    return EventKey("connection", run.connection_id)
