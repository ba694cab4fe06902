"""Jobs of registers: ask what waits. Calls are made between transactions, within each register's budget."""

import asyncio
from datetime import date

import structlog
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
from koppel.connections.sessions import Runtime, current_worker
from koppel.kit import quarantine
from koppel.kit.backoff import Backoff
from koppel.kit.database.outage import RetryAfterOutage, is_outage
from koppel.kit.database.threads import run_in_thread
from koppel.kit.quarantine import Quarantined

CONCURRENCY = 8
BATCH_SIZE = 100
LEASE_SECONDS = 120
"""A worker that dies loses what it holds to the next one after so long."""
RATE_LIMIT_WAIT_SECONDS_MAX = 5.0
"""A job waits so long for its turn at a register; longer, and the question waits in the table instead of in a worker."""
RETRY_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=6 * 3600.0)
ATTEMPTS_MAX = 40
"""With the pauses between them about nine days."""

SINGLE_LOOKUP_ERRORS = ("status_500", "unexpected_answer", "crashed")
"""Troubles that say nothing about the register's other answers."""

log = structlog.get_logger(__name__)

_CLAIM = """
UPDATE company_registers_lookup SET due_at = now() + %(lease)s * interval '1 second'
 WHERE id IN (
   SELECT id FROM company_registers_lookup WHERE organisation_id = %(organisation)s AND due_at <= now()
    ORDER BY due_at, id LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id, country, kind, value, attempts
"""
_RESCHEDULE = """
UPDATE company_registers_lookup
   SET due_at = CASE WHEN %(give_up)s THEN NULL ELSE now() + %(seconds)s * interval '1 second' END,
       attempts = attempts + %(counts)s, reason = %(reason)s,
       source = CASE WHEN answered_at IS NULL THEN %(source)s ELSE source END,
       outcome = CASE WHEN answered_at IS NULL AND %(counts)s > 0 THEN 'unavailable' ELSE outcome END
 WHERE id = %(id)s
"""


@app.task(name="company_registers.look_up", retry=RetryAfterOutage())
async def look_up(organisation_id: int) -> None:
    """Ask everything of this organisation that is due. In quarantine it stays due."""
    runtime = current_worker()
    query_count = 0
    while await quarantine.current_async() is None and (rows := await _claim(runtime, organisation_id)):
        turns = asyncio.Semaphore(CONCURRENCY)
        await asyncio.gather(*(_process_lookup(runtime, organisation_id, turns, *row) for row in rows))
        query_count += len(rows)
    if query_count:
        log.info("registers_queried", count=query_count)


@app.periodic(cron="* * * * *")
@app.task(name="company_registers.enqueue_due")
async def enqueue_due(timestamp: int) -> None:
    """Hand out what has waited long enough: after a pause, or from a worker that died."""
    if await quarantine.current_async() is not None:
        return
    async with current_worker().database.installation_transaction() as connection:
        cursor = await connection.execute(
            "SELECT DISTINCT organisation_id FROM company_registers_lookup WHERE due_at <= now()"
        )
        waiting = [int(row[0]) for row in await cursor.fetchall()]

    def enqueue() -> None:
        for organisation_id in waiting:
            look_up.defer(organisation_id=organisation_id)

    # Procrastinate's own thread would keep a connection that the database has closed meanwhile.
    await run_in_thread(enqueue)


async def _claim(runtime: Runtime, organisation_id: int) -> list[tuple[int, str, str, str, int]]:
    async with runtime.database.tenant_transaction(organisation_id) as connection:
        params = {"organisation": organisation_id, "batch": BATCH_SIZE, "lease": LEASE_SECONDS}
        cursor = await connection.execute(_CLAIM, params)
        return await cursor.fetchall()


async def _process_lookup(
    runtime: Runtime, organisation_id: int, turns: asyncio.Semaphore, lookup_id: int, country: str, kind: str, value: str,
    attempts: int,
) -> None:  # fmt: skip
    query = RegisterQuery(country, QueryKind(kind), value)
    register = register_for(query)
    if register is None:  # switched off since
        await _reschedule(runtime, organisation_id, lookup_id, "", "not_supported", give_up=True)
        return
    async with turns:
        wait = await _wait_for_rate_limit(runtime, register)
        if wait:
            await _reschedule(runtime, organisation_id, lookup_id, register.name, "waiting", wait)
            return
        try:
            result = await _query_register(runtime, register, query)
        except Quarantined:
            await _reschedule(runtime, organisation_id, lookup_id, "", quarantine.CODE)
            return
    failure = (
        result
        if isinstance(result, RegisterUnavailable)
        else await _store(organisation_id, lookup_id, register, result)
    )
    if failure is not None:
        await _handle_unavailable(runtime, organisation_id, lookup_id, register, failure, attempts)


async def _store(
    organisation_id: int, lookup_id: int, register: Register, result: RegisterResult
) -> RegisterUnavailable | None:
    """None when it is stored. An answer that cannot be is asked for later, and like every trouble not for ever."""
    try:
        await run_in_thread(lambda: store_result(organisation_id, lookup_id, result))
    except Exception as error:
        if is_outage(error):
            raise  # the answer is asked for again when the lease is over, and no attempt is counted
        log.exception("register_result_not_stored", register=register.name)
        return RegisterUnavailable("crashed", 600)
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
        # A fault of ours in one answer must not stop the questions beside it.
        log.exception("register_client_failed", register=register.name)
        return RegisterUnavailable("crashed", 600)


async def _wait_for_rate_limit(runtime: Runtime, register: Register) -> float:
    """Wait for a call of the register's budget. 0.0 when it may be made, else the seconds that are worth waiting elsewhere."""
    waited = 0.0
    while True:
        async with runtime.database.installation_transaction() as connection:
            wait = await rate_limit.acquire(connection, register.name, register.rate_limit)
        if wait == 0.0 or waited + wait > RATE_LIMIT_WAIT_SECONDS_MAX:
            return wait
        await asyncio.sleep(wait)
        waited += wait


async def _handle_unavailable(
    runtime: Runtime,
    organisation_id: int,
    lookup_id: int,
    register: Register,
    failure: RegisterUnavailable,
    attempts: int,
) -> None:
    """Later, and mostly for all: who asks a register that is down eight times at once gets eight time-outs."""
    seconds = max(failure.retry_after_seconds, RETRY_BACKOFF.seconds(attempts))
    log.warning(
        "register_unavailable", register=register.name, reason=failure.reason, outcome=LookupOutcome.UNAVAILABLE.value
    )
    if failure.reason not in SINGLE_LOOKUP_ERRORS:
        async with runtime.database.installation_transaction() as connection:
            await rate_limit.back_off(
                connection, register.name, min(seconds, failure.retry_after_seconds or RETRY_BACKOFF.base_seconds)
            )
    give_up = attempts + 1 >= ATTEMPTS_MAX
    await _reschedule(
        runtime, organisation_id, lookup_id, register.name, failure.reason, seconds, counts=1, give_up=give_up
    )


async def _reschedule(
    runtime: Runtime, organisation_id: int, lookup_id: int, source: str, reason: str, seconds: float = 0.0,
    *, counts: int = 0, give_up: bool = False,
) -> None:  # fmt: skip
    async with runtime.database.tenant_transaction(organisation_id) as connection:
        params = {"id": lookup_id, "source": source, "reason": reason[:60], "seconds": seconds, "counts": counts}
        await connection.execute(_RESCHEDULE, params | {"give_up": give_up})
