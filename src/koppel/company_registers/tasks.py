"""Jobs of registers: ask what waits. Calls are made between transactions, within each register's budget."""

import asyncio
from datetime import date

import structlog
from procrastinate.contrib.django import app

from koppel.company_registers import rate_limit
from koppel.company_registers.clients import register_for
from koppel.company_registers.lookups import take_in
from koppel.company_registers.protocol import Answer, Kind, Outcome, Question, Register, Unavailable
from koppel.connections.sessions.runtime import of_worker
from koppel.connections.sessions.sessions import Runtime
from koppel.kit import quarantine
from koppel.kit.database_outage import RetryAfterOutage, is_outage
from koppel.kit.quarantine import Quarantined
from koppel.kit.threads import in_django

AT_A_TIME = 8
BATCH = 100
LEASE_SECONDS = 120
"""A worker that dies loses what it holds to the next one after so long."""
PATIENCE_SECONDS = 5.0
"""A job waits so long for its turn at a register; longer, and the question waits in the table instead of in a worker."""
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 30.0, 6 * 3600.0
ATTEMPTS_MAX = 40
"""With the pauses between them about nine days."""

ONE_COMPANYS_OWN = ("status_500", "unexpected_answer", "crashed")
"""Troubles that say nothing about the register's other answers."""

log = structlog.get_logger(__name__)

_CLAIM = """
UPDATE registers_lookup SET due_at = now() + %(lease)s * interval '1 second'
 WHERE id IN (
   SELECT id FROM registers_lookup WHERE organisation_id = %(organisation)s AND due_at <= now()
    ORDER BY due_at, id LIMIT %(batch)s FOR UPDATE SKIP LOCKED)
RETURNING id, country, kind, value, attempts
"""
_PUT_BACK = """
UPDATE registers_lookup
   SET due_at = CASE WHEN %(give_up)s THEN NULL ELSE now() + %(seconds)s * interval '1 second' END,
       attempts = attempts + %(counts)s, reason = %(reason)s,
       source = CASE WHEN answered_at IS NULL THEN %(source)s ELSE source END,
       outcome = CASE WHEN answered_at IS NULL AND %(counts)s > 0 THEN 'unavailable' ELSE outcome END
 WHERE id = %(id)s
"""


@app.task(name="registers.look_up", retry=RetryAfterOutage())
async def look_up(organisation_id: int) -> None:
    """Ask everything of this organisation that is due. In quarantine it stays due."""
    runtime = of_worker()
    asked = 0
    while await quarantine.current_async() is None and (rows := await _claim(runtime, organisation_id)):
        turns = asyncio.Semaphore(AT_A_TIME)
        await asyncio.gather(*(_one(runtime, organisation_id, turns, *row) for row in rows))
        asked += len(rows)
    if asked:
        log.info("registers_asked", count=asked)


@app.periodic(cron="* * * * *")
@app.task(name="registers.sweep")
async def sweep(timestamp: int) -> None:
    """Hand out what has waited long enough: after a pause, or from a worker that died."""
    if await quarantine.current_async() is not None:
        return
    async with of_worker().database.for_installation() as connection:
        found = await connection.execute("SELECT DISTINCT organisation_id FROM registers_lookup WHERE due_at <= now()")
        waiting = [int(row[0]) for row in await found.fetchall()]
    for organisation_id in waiting:
        await look_up.defer_async(organisation_id=organisation_id)


async def _claim(runtime: Runtime, organisation_id: int) -> list[tuple[int, str, str, str, int]]:
    async with runtime.database.scoped(organisation_id) as connection:
        facts = {"organisation": organisation_id, "batch": BATCH, "lease": LEASE_SECONDS}
        found = await connection.execute(_CLAIM, facts)
        return await found.fetchall()


async def _one(
    runtime: Runtime, organisation_id: int, turns: asyncio.Semaphore, lookup_id: int, country: str, kind: str, value: str,
    attempts: int,
) -> None:  # fmt: skip
    question = Question(country, Kind(kind), value)
    register = register_for(question)
    if register is None:  # switched off since
        await _put_back(runtime, organisation_id, lookup_id, "", "not_supported", give_up=True)
        return
    async with turns:
        wait = await _turn(runtime, register)
        if wait:
            await _put_back(runtime, organisation_id, lookup_id, register.name, "waiting", wait)
            return
        try:
            answer = await _asked(runtime, register, question)
        except Quarantined:
            await _put_back(runtime, organisation_id, lookup_id, "", quarantine.CODE)
            return
    trouble = (
        answer if isinstance(answer, Unavailable) else await _taken_in(organisation_id, lookup_id, register, answer)
    )
    if trouble is not None:
        await _unavailable(runtime, organisation_id, lookup_id, register, trouble, attempts)


async def _taken_in(organisation_id: int, lookup_id: int, register: Register, answer: Answer) -> Unavailable | None:
    """None when it is stored. An answer that cannot be is asked for later, and like every trouble not for ever."""
    try:
        await in_django(lambda: take_in(organisation_id, lookup_id, answer))
    except Exception as error:
        if is_outage(error):
            raise  # the answer is asked for again when the lease is over, and no attempt is counted
        log.exception("register_answer_not_stored", register=register.name)
        return Unavailable("crashed", 600)
    return None


async def _asked(runtime: Runtime, register: Register, question: Question) -> Answer | Unavailable:
    try:
        return await register.ask(runtime.http, question, date.today())  # noqa: DTZ011 - our own day
    except Unavailable as trouble:
        return trouble
    except Quarantined:
        raise
    except Exception:
        # A fault of ours in one answer must not stop the questions beside it.
        log.exception("register_client_failed", register=register.name)
        return Unavailable("crashed", 600)


async def _turn(runtime: Runtime, register: Register) -> float:
    """Wait for a call of the register's budget. 0.0 when it may be made, else the seconds that are worth waiting elsewhere."""
    waited = 0.0
    while True:
        async with runtime.database.for_installation() as connection:
            wait = await rate_limit.take(connection, register.name, register.budget)
        if wait == 0.0 or waited + wait > PATIENCE_SECONDS:
            return wait
        await asyncio.sleep(wait)
        waited += wait


async def _unavailable(
    runtime: Runtime, organisation_id: int, lookup_id: int, register: Register, trouble: Unavailable, attempts: int
) -> None:
    """Later, and mostly for all: who asks a register that is down eight times at once gets eight time-outs."""
    seconds = max(trouble.retry_after_seconds, min(PAUSE_SECONDS * 2**attempts, PAUSE_SECONDS_MAX))
    log.warning(
        "register_unavailable", register=register.name, reason=trouble.reason, outcome=Outcome.UNAVAILABLE.value
    )
    if trouble.reason not in ONE_COMPANYS_OWN:
        async with runtime.database.for_installation() as connection:
            await rate_limit.pause(
                connection, register.name, min(seconds, trouble.retry_after_seconds or PAUSE_SECONDS)
            )
    give_up = attempts + 1 >= ATTEMPTS_MAX
    await _put_back(
        runtime, organisation_id, lookup_id, register.name, trouble.reason, seconds, counts=1, give_up=give_up
    )


async def _put_back(
    runtime: Runtime, organisation_id: int, lookup_id: int, source: str, reason: str, seconds: float = 0.0,
    *, counts: int = 0, give_up: bool = False,
) -> None:  # fmt: skip
    async with runtime.database.scoped(organisation_id) as connection:
        facts = {"id": lookup_id, "source": source, "reason": reason[:60], "seconds": seconds, "counts": counts}
        await connection.execute(_PUT_BACK, facts | {"give_up": give_up})
