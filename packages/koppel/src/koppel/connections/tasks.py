"""Jobs of connections."""

import asyncio
from datetime import timedelta

import structlog
from procrastinate import BaseRetryStrategy, RetryDecision, RetryStrategy
from procrastinate.contrib.django import app
from procrastinate.jobs import Job

from koppel.connections.companies.descriptions import CONCURRENT_CALLS_MAX, describe_all
from koppel.connections.consent.attempts import erase_expired_secrets
from koppel.connections.health import notify_expiring_and_review_owners
from koppel.connections.lifecycle.connection_check import check_once, claim_due_checks
from koppel.connections.lifecycle.revocation import revoke, revoke_attempt
from koppel.connections.sessions import current_worker
from koppel.connector.errors import ConnectorError
from koppel.kit import quarantine
from koppel.kit.clock import now
from koppel.kit.database.outage import RetryAfterOutage
from koppel.kit.database.sql_files import load_statements
from koppel.kit.database.threads import run_in_thread
from koppel.kit.quarantine import Quarantined
from koppel.kit.quarantine.job_requeue import requeue_in_quarantine

_SQL = load_statements("koppel.connections")
DESCRIPTION_LIFETIME = timedelta(days=1)
"""How long a company's description counts as recent."""
RETRY_FOR_DAYS = RetryStrategy(max_attempts=12, exponential_wait=3)
log = structlog.get_logger(__name__)


class RetryAfterPause(BaseRetryStrategy):
    """Repeats a job for a day or two, and never before the pause that the vendor asked for is over."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        decision = RETRY_FOR_DAYS.get_retry_decision(exception=exception, job=job)
        pause = exception.requested_pause_seconds if isinstance(exception, ConnectorError) else 0.0
        if decision is None or decision.retry_at is None:
            return decision
        return RetryDecision(retry_at=max(decision.retry_at, now() + timedelta(seconds=pause)))


@app.task(name="connections.describe_companies", retry=RetryAfterOutage())
async def describe_companies(organisation_id: int, connection_id: int) -> None:
    """Fill in the identity of the connection's companies: fixed fields, one cheap call each. Books are never
    read here.
    """
    async with requeue_in_quarantine(
        describe_companies, organisation_id=organisation_id, connection_id=connection_id
    ):
        await quarantine.refuse_async()
        await _describe_all(organisation_id, connection_id)


async def _describe_all(organisation_id: int, connection_id: int) -> None:
    runtime = current_worker()
    async with runtime.database.tenant_transaction(organisation_id) as database_connection:
        values = {"connection_id": connection_id, "described_for": DESCRIPTION_LIFETIME}
        rows = await (
            await database_connection.execute(_SQL["list_undescribed_companies"], values)
        ).fetchall()
    await describe_all(runtime, organisation_id, rows)
    log.info("companies_described", connection=connection_id, count=len(rows))


CHECKS_MAX = 200


@app.periodic(cron="* * * * *")
@app.task(name="connections.check_health", queueing_lock="connections.check_health", pass_context=False)
async def check_health(timestamp: int) -> None:
    """Probe what is degraded or has been idle for long, and notify of consents about to end, each minute. Not
    in quarantine.
    """
    if await quarantine.current_async() is not None:
        return
    runtime = current_worker()
    due = await claim_due_checks(runtime.database, CHECKS_MAX)
    semaphore = asyncio.Semaphore(CONCURRENT_CALLS_MAX)

    async def check(organisation_id: int, connection_id: int) -> None:
        async with semaphore:
            try:
                await check_once(runtime, organisation_id, connection_id)
            except Quarantined:
                return
            except Exception:
                # A fault of Koppel at one connection is no reason to
                # leave the others, and what ends soon, unsaid.
                log.exception("connection_check_failed", connection=connection_id)

    await asyncio.gather(*(check(*row) for row in due))
    messages = await run_in_thread(notify_expiring_and_review_owners)
    if due or messages:
        log.info("connections_checked", checked=len(due), notified=messages)


@app.periodic(cron="*/10 * * * *")
@app.task(
    name="connections.erase_expired_sign_ins",
    queueing_lock="connections.erase_expired_sign_ins",
    pass_context=False,
)
def erase_expired_sign_ins(timestamp: int) -> None:
    """Erase what the vendor answered to sign-ins that were not completed in time, every ten minutes."""
    if count := erase_expired_secrets():
        log.info("expired_sign_ins_erased", count=count)


@app.task(name="connections.revoke_grants", retry=RetryAfterOutage(RetryAfterPause()))
async def revoke_grants(organisation_id: int, grant_ids: list[int]) -> None:
    """Revoke tokens of unused grants at the vendor, then delete them. Retried for a day or two."""
    async with requeue_in_quarantine(revoke_grants, organisation_id=organisation_id, grant_ids=grant_ids):
        await revoke(current_worker(), organisation_id, grant_ids)


@app.task(name="connections.revoke_unused_consent", retry=RetryAfterOutage(RetryAfterPause()))
async def revoke_unused_consent(organisation_id: int, attempt_id: int) -> None:
    """Withdraw the tokens of a sign-in that was refused."""
    async with requeue_in_quarantine(
        revoke_unused_consent, organisation_id=organisation_id, attempt_id=attempt_id
    ):
        await revoke_attempt(current_worker(), organisation_id, attempt_id)
