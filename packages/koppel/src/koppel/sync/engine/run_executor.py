"""Executes a run that this worker holds, and records the outcome: finished, waiting or crashed."""

import structlog
from django.utils.translation import gettext_noop

from koppel.books.read.labels import english_label
from koppel.connections.sessions import Runtime
from koppel.connector.errors import ConnectorError, Unreachable
from koppel.kit import quarantine
from koppel.kit.database.outage import is_outage, sqlstate_of
from koppel.kit.database.threads import run_in_thread
from koppel.kit.quarantine import Quarantined
from koppel.kit.web.sentences import stored_sentence
from koppel.sync.engine import run_completion, run_reader, run_start
from koppel.sync.engine.error_policy import Action, ErrorPolicy, policy_for, wait_seconds
from koppel.sync.engine.vendor_outage import outage_pause_seconds
from koppel.sync.errors import Preempted, RunTakenOver
from koppel.sync.issue_types import SyncIssue
from koppel.sync.models import RunReason, RunState
from koppel.sync.runs import claims
from koppel.sync.runs.claims import ClaimedRun

CRASHES_MAX, CRASH_PAUSE_SECONDS = 3, 5.0
OUTAGE_ISSUE_SECONDS = 900.0
"""How long the database may return errors before an issue is raised."""
OUTAGE_SENTENCE = gettext_noop("Koppel's own database returns errors. Syncing resumes automatically.")
CRASH_SENTENCE = gettext_noop("Koppel failed here (%(cause)s). The log of the worker has the details.")
RESOURCE_SENTENCE = gettext_noop("%(resource)s: %(reason)s")
log = structlog.get_logger(__name__)


async def execute_run(runtime: Runtime, run: ClaimedRun) -> None:
    """Execute the run until it ends, must wait, or its time slice is over.

    The run's row records the outcome.
    """
    organisation_id, run_id = run.organisation_id, run.id
    with structlog.contextvars.bound_contextvars(
        organisation=organisation_id, run=run_id, attempt=run.attempt
    ):
        try:
            await quarantine.refuse_async()
            await _read_and_complete(runtime, run)
        except RunTakenOver:
            log.warning("run_taken_over")
        except Preempted:
            async with runtime.database.tenant_transaction(organisation_id) as database_connection:
                await claims.requeue(database_connection, run, 0, failed=False, code="", reason="")
        except Quarantined as stopped:
            async with runtime.database.tenant_transaction(organisation_id) as database_connection:
                await claims.requeue(
                    database_connection, run, 0, failed=False, code=stopped.code, reason=str(stopped)
                )
        except ConnectorError as error:
            await _apply_policy(runtime, run, error)
        except Exception as error:
            if is_outage(error):
                await _wait_for_database(runtime, run, error)
            else:
                log.exception("run_crashed")
                await _record_crash(runtime, run, error)


async def _read_and_complete(runtime: Runtime, run: ClaimedRun) -> None:
    plan = await run_in_thread(lambda: run_start.start_run(run))
    result = await run_reader.read_run(runtime, run, plan)
    if result.failed_resources:
        resource, reason = next(iter(result.failed_resources.items()))
        failure = (
            ErrorPolicy(Action.FAIL, SyncIssue.UNEXPECTED_RESPONSE),
            "unexpected_response",
            stored_sentence(RESOURCE_SENTENCE, resource=english_label(resource), reason=reason),
        )
        await run_in_thread(lambda: run_completion.fail(run, *failure, RunState.PARTIAL))
        return
    if not await run_in_thread(lambda: run_completion.succeed(run, plan, result.committed_pages)):
        raise RunTakenOver
    log.info("run_succeeded", administration=run.administration_id, changed=sorted(result.changed_resources))


async def _apply_policy(runtime: Runtime, run: ClaimedRun, error: ConnectorError) -> None:
    async with runtime.database.tenant_transaction(run.organisation_id) as database_connection:
        failures = await claims.failures(database_connection, run)
        outage_wait = None
        if isinstance(error, Unreachable):
            outage_wait = await outage_pause_seconds(database_connection, run.connection_id)
    if outage_wait is None:
        policy, code, seconds = policy_for(error, failures), error.code, wait_seconds(error, failures)
    else:
        policy, code = ErrorPolicy(Action.WAIT), RunReason.OUTAGE
        seconds = max(outage_wait, error.requested_pause_seconds)
    log.info("run_stopped", code=error.code, next=policy.action.value, reason=str(error))
    if policy.action is Action.WAIT:
        async with runtime.database.tenant_transaction(run.organisation_id) as database_connection:
            await claims.requeue(
                database_connection,
                run,
                seconds,
                failed=policy.counts_as_failure,
                code=code,
                reason=error.sentence,
            )
        return
    await run_in_thread(lambda: run_completion.fail(run, policy, error.code, error.sentence))


async def _wait_for_database(runtime: Runtime, run: ClaimedRun, error: Exception) -> None:
    """Requeue the run until the database works again; this is not counted as a failure.

    If the requeue fails too, another worker claims the run once its heartbeat is old.
    """
    log.warning(
        "run_waits_for_database",
        error=type(error).__name__,
        sqlstate=sqlstate_of(error),
        reason=str(error)[:200],
    )
    async with runtime.database.tenant_transaction(run.organisation_id) as database_connection:
        outage_seconds_so_far = await claims.requeue_for_outage(database_connection, run, OUTAGE_SENTENCE)
    if outage_seconds_so_far >= OUTAGE_ISSUE_SECONDS:
        await run_in_thread(
            lambda: run_completion.raise_outage_issue(run, sqlstate_of(error) or type(error).__name__)
        )


async def _record_crash(runtime: Runtime, run: ClaimedRun, error: Exception) -> None:
    """Requeue the run after an unexpected error of Koppel; fail it at the third.

    Committed pages do not reset the count.
    """
    may_retry = run.crashes + 1 < CRASHES_MAX
    message = stored_sentence(CRASH_SENTENCE, cause=type(error).__name__)
    if may_retry:
        async with runtime.database.tenant_transaction(run.organisation_id) as database_connection:
            await claims.requeue_after_crash(database_connection, run, CRASH_PAUSE_SECONDS, message)
    else:
        await run_in_thread(
            lambda: run_completion.fail(
                run, ErrorPolicy(Action.FAIL, SyncIssue.SYNC_FAILED), RunReason.CRASHED, message
            )
        )
