"""Jobs of connections."""

import asyncio

import structlog
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from koppel.connections.endings import tell_of_endings
from koppel.connections.identity import note_described, note_unreachable
from koppel.connections.probe import DUE_FOR_A_PROBE, probe_once
from koppel.connections.revocation import give_back, revoke
from koppel.connections.runtime import of_worker
from koppel.connections.sessions import Runtime, describing_session
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.kit import quarantine
from koppel.kit.quarantine import Quarantined
from koppel.kit.quarantine_jobs import put_back_in_quarantine
from koppel.kit.threads import in_django

AT_A_TIME = 10
log = structlog.get_logger(__name__)


@app.task(name="connections.describe_companies")
async def describe_companies(organisation_id: int, connection_id: int) -> None:
    """Fill in the identity of the connection's companies: fixed fields, one cheap call each. Books are never read here."""
    async with put_back_in_quarantine(describe_companies, organisation_id=organisation_id, connection_id=connection_id):
        await quarantine.refuse_async()
        await _describe_all(organisation_id, connection_id)


async def _describe_all(organisation_id: int, connection_id: int) -> None:
    runtime = of_worker()
    async with runtime.database.scoped(organisation_id) as connection:
        found = await connection.execute(_UNDESCRIBED, [connection_id])
        rows = await found.fetchall()
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(company_id: int, key: str) -> None:
        async with turns:
            await _describe(runtime, organisation_id, company_id, key)

    await asyncio.gather(*(one(*row) for row in rows))
    log.info("companies_described", connection=connection_id, count=len(rows))


_UNDESCRIBED = """
SELECT r.id, c.connector FROM connections_remote_company r
  JOIN connections_connection c ON c.id = r.connection_id AND c.organisation_id = r.organisation_id
 WHERE r.connection_id = %s AND r.listed_at IS NOT NULL
   AND (r.described_at IS NULL OR r.described_at < now() - interval '1 day') ORDER BY r.name
"""
AT_ONCE_MAX = 200


@app.periodic(cron="* * * * *")
@app.task(name="connections.watch", queueing_lock="connections.watch", pass_context=False)
async def watch(timestamp: int) -> None:
    """Each minute: probe what is degraded or has been idle for long, and tell whose consent is about to end. Not in
    quarantine."""
    if await quarantine.current_async() is not None:
        return
    runtime = of_worker()
    async with runtime.database.for_installation() as connection:
        found = await connection.execute(DUE_FOR_A_PROBE, [AT_ONCE_MAX])
        due = await found.fetchall()
    turns = asyncio.Semaphore(AT_A_TIME)

    async def one(organisation_id: int, connection_id: int) -> None:
        async with turns:
            try:
                await probe_once(runtime, organisation_id, connection_id)
            except Quarantined:
                return
            except Exception:
                # A fault of ours at one connection is no reason to leave the others, and what ends soon, unsaid.
                log.exception("connection_not_probed", connection=connection_id)

    await asyncio.gather(*(one(*row) for row in due))
    told = await in_django(tell_of_endings)
    if due or told:
        log.info("connections_watched", probed=len(due), told=told)


@app.task(name="connections.revoke_grants", retry=RetryStrategy(max_attempts=12, exponential_wait=3))
async def revoke_grants(organisation_id: int, grant_ids: list[int]) -> None:
    """Withdraw the tokens of grants that are no longer used at the vendor, then forget them. Tried again for a day or two."""
    async with put_back_in_quarantine(revoke_grants, organisation_id=organisation_id, grant_ids=grant_ids):
        await revoke(of_worker(), organisation_id, grant_ids)


@app.task(name="connections.give_back_consent", retry=RetryStrategy(max_attempts=12, exponential_wait=3))
async def give_back_consent(organisation_id: int, attempt_id: int) -> None:
    """Withdraw the tokens of a sign-in that was refused."""
    async with put_back_in_quarantine(give_back_consent, organisation_id=organisation_id, attempt_id=attempt_id):
        await give_back(of_worker(), organisation_id, attempt_id)


async def _describe(runtime: Runtime, organisation_id: int, company_id: int, connector_key: str) -> None:
    try:
        session = await describing_session(runtime, organisation_id, company_id)
        found = await connector(connector_key).describe_company(session)
        await in_django(lambda: note_described(organisation_id, company_id, found))
    except ConnectorError as error:
        # Identity can be typed by hand; the next listing asks again.
        log.info("company_not_described", company=company_id, code=error.code)
        refusal = error if isinstance(error, SetupMissing | NotConsented) else None
        await in_django(lambda: note_unreachable(organisation_id, company_id, refusal))
    except Quarantined:
        raise
    except Exception:
        # What cannot be understood, or stored, of one company must not leave the others without their numbers.
        log.exception("company_description_failed", company=company_id)
        await in_django(lambda: note_unreachable(organisation_id, company_id, None))
