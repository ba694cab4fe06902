"""Jobs of connections."""

import asyncio

import structlog
from procrastinate.contrib.django import app

from koppel.connections.runtime import of_worker
from koppel.connections.sessions import Runtime, describing_session
from koppel.connector.contract import CompanyDescription
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing
from koppel.connector.registry import connector

AT_A_TIME = 10
log = structlog.get_logger(__name__)


@app.task(name="connections.describe_companies")
async def describe_companies(organisation_id: int, connection_id: int) -> None:
    """Fill in the identity of the connection's companies: fixed fields, one cheap call each. Books are never read here."""
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

_KEEP = """
UPDATE connections_remote_company
   SET number = %s, vat_number = %s, country = %s, base_currency = %s, industry_code = %s, units = %s,
       described_at = now(), unreachable_code = '', unreachable_reason = ''
 WHERE id = %s
"""


async def _describe(runtime: Runtime, organisation_id: int, company_id: int, connector_key: str) -> None:
    session = await describing_session(runtime, organisation_id, company_id)
    try:
        description = await connector(connector_key).describe_company(session)
    except (SetupMissing, NotConsented) as refusal:
        await _cannot(runtime, organisation_id, company_id, refusal)
    except ConnectorError as error:
        # Identity can be typed by hand; the next listing asks again.
        log.warning("company_not_described", company=company_id, code=error.code)
        await _cannot(runtime, organisation_id, company_id, None)
    else:
        await _keep(runtime, organisation_id, company_id, description)


async def _keep(runtime: Runtime, organisation_id: int, company_id: int, found: CompanyDescription) -> None:
    from psycopg.types.json import Jsonb  # noqa: PLC0415 - only here

    values = [
        (found.number or "")[:100],
        (found.vat_number or "")[:100],
        (found.country or "")[:2],
        (found.base_currency or "")[:3],
        (found.industry_code or "")[:60],
        Jsonb([list(unit) for unit in found.units]),
        company_id,
    ]
    async with runtime.database.scoped(organisation_id) as connection:
        await connection.execute(_KEEP, values)


async def _cannot(runtime: Runtime, organisation_id: int, company_id: int, refusal: ConnectorError | None) -> None:
    code, sentence = (refusal.code, str(refusal)) if refusal else ("", "")
    async with runtime.database.scoped(organisation_id) as connection:
        await connection.execute(
            "UPDATE connections_remote_company SET described_at = now(), unreachable_code = %s, unreachable_reason = %s"
            " WHERE id = %s",
            [code, sentence, company_id],
        )
