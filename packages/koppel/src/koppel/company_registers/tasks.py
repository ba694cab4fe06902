"""Jobs of registers: make the lookups that wait. Calls are made between transactions, within each register's
rate limit.
"""

import asyncio
from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any

import structlog
from django.db.models import Case, F, Value, When
from procrastinate.contrib.django import app

from koppel.company_registers.clients import rate_limit, register_for
from koppel.company_registers.clients.protocol import (
    LookupOutcome,
    QueryKind,
    Register,
    RegisterQuery,
    RegisterResult,
    RegisterUnavailable,
)
from koppel.company_registers.lookups import store_result
from koppel.company_registers.models import Lookup
from koppel.company_registers.outbox import LOOKUP_OUTBOX, RETRY_BACKOFF
from koppel.connections.sessions import Runtime, current_worker
from koppel.kit import quarantine
from koppel.kit.database.outage import RetryAfterOutage, is_outage
from koppel.kit.database.threads import run_in_thread
from koppel.kit.jobs.outbox import BatchResult, Claim, deliver_due
from koppel.kit.quarantine import Quarantined
from koppel.kit.tenancy import organisation_scope

CONCURRENCY = 8
RATE_LIMIT_WAIT_SECONDS_MAX = 5.0
"""How long a job waits for its turn at a register; after that the lookup waits in its table."""

CRASHED = "crashed"
"""The code when Koppel itself failed."""
SINGLE_LOOKUP_ERRORS = ("status_500", "unexpected_answer", CRASHED)
"""Errors of one lookup that say nothing about the register itself."""

log = structlog.get_logger(__name__)


@app.task(name="company_registers.look_up", retry=RetryAfterOutage())
async def look_up(organisation_id: int) -> None:
    """Make the organisation's lookups that are due. In quarantine they stay due."""
    count = await deliver_due(LOOKUP_OUTBOX, {"organisation_id": organisation_id}, _look_up_batch)
    if count:
        log.info("registers_queried", count=count)


@app.periodic(cron="* * * * *")
@app.task(name="company_registers.enqueue_due")
async def enqueue_due(timestamp: int) -> None:
    """Enqueue jobs for lookups that are due: after a quarantine, or of a worker that died."""
    if await quarantine.current_async() is None:
        await run_in_thread(LOOKUP_OUTBOX.enqueue_due)


async def _look_up_batch(claim: Claim) -> BatchResult:
    """Make a batch of lookups at the same time. Raises `Quarantined` when a part of it was stopped."""
    runtime, semaphore = current_worker(), asyncio.Semaphore(CONCURRENCY)
    lookups = await run_in_thread(partial(_load, claim))
    results = await asyncio.gather(
        *(_process_lookup(runtime, claim, semaphore, lookup) for lookup in lookups), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return BatchResult(delivered=len(lookups))


def _load(claim: Claim) -> list[Lookup]:
    with organisation_scope(claim.organisation_id):
        return list(claim.rows().order_by("due_at", "pk"))


async def _process_lookup(
    runtime: Runtime, claim: Claim, semaphore: asyncio.Semaphore, lookup: Lookup
) -> None:
    query = RegisterQuery(country=lookup.country, kind=QueryKind(lookup.kind), value=lookup.value)
    register = register_for(query)
    if register is None:  # switched off since
        await run_in_thread(
            partial(claim.settle, {"due_at": None, "reason": "not_supported"}, ids=[lookup.pk])
        )
        return
    async with semaphore:
        if wait := await _wait_for_rate_limit(runtime, register):
            values = {"reason": "waiting", **_source(register)}
            await run_in_thread(partial(claim.release, ids=[lookup.pk], seconds=wait, values=values))
            return
        result = await _query_register(runtime, register, query)
    failure = (
        result if isinstance(result, RegisterUnavailable) else await _store(claim, lookup, register, result)
    )
    if failure is not None:
        await _handle_unavailable(runtime, claim, lookup, register, failure)


async def _store(
    claim: Claim, lookup: Lookup, register: Register, result: RegisterResult
) -> RegisterUnavailable | None:
    """Store the answer; return None when that succeeded. An answer that cannot be stored is requested again
    later, a limited number of times.
    """
    try:
        await run_in_thread(lambda: store_result(claim.organisation_id, lookup.pk, result))
    except Exception as error:
        if is_outage(error):
            raise  # the lookup is due again when the lease is over
        log.exception("register_result_not_stored", register=register.name)
        return RegisterUnavailable(CRASHED, 600)
    return None


async def _query_register(
    runtime: Runtime, register: Register, query: RegisterQuery
) -> RegisterResult | RegisterUnavailable:
    try:
        return await register.look_up(runtime.http, query, date.today())  # noqa: DTZ011 - our own day
    except RegisterUnavailable as failure:
        return failure
    except Quarantined:
        raise
    except Exception:
        # An error of Koppel in one lookup must not stop the others of the batch.
        log.exception("register_client_failed", register=register.name)
        return RegisterUnavailable(CRASHED, 600)


async def _wait_for_rate_limit(runtime: Runtime, register: Register) -> float:
    """Wait for a call within the register's rate limit. Returns 0.0 when it may be made, else the seconds
    that are not worth waiting for here.
    """
    waited = 0.0
    while True:
        async with runtime.database.installation_transaction() as database_connection:
            wait = await rate_limit.acquire(database_connection, register.name, register.rate_limit)
        if wait == 0.0 or waited + wait > RATE_LIMIT_WAIT_SECONDS_MAX:
            return wait
        await asyncio.sleep(wait)
        waited += wait


async def _handle_unavailable(
    runtime: Runtime, claim: Claim, lookup: Lookup, register: Register, failure: RegisterUnavailable
) -> None:
    """Retry later, and usually pause the whole register: eight simultaneous calls to a failed register are
    eight time-outs.
    """
    unavailable = LookupOutcome.UNAVAILABLE
    log.warning(
        "register_unavailable", register=register.name, reason=failure.reason, outcome=unavailable.value
    )
    if failure.is_requested or failure.reason not in SINGLE_LOOKUP_ERRORS:
        seconds = failure.retry_after_seconds or RETRY_BACKOFF.base_seconds
        async with runtime.database.installation_transaction() as database_connection:
            await rate_limit.back_off(database_connection, register.name, seconds)
    values = {**_source(register), "outcome": _unless_answered("outcome", unavailable)}
    retry = partial(claim.retry, failure.reason, ids=[lookup.pk])
    await run_in_thread(partial(retry, seconds_min=failure.retry_after_seconds, values=values))


def _source(register: Register) -> Mapping[str, Any]:
    return {"source": _unless_answered("source", register.name)}


def _unless_answered(column: str, value: str) -> Case:
    """Return the value, or the column's own when the lookup was answered before."""
    return Case(When(answered_at=None, then=Value(value)), default=F(column))
