"""Fetch the descriptions of companies from the vendor, and store them. Books are never read here."""

import asyncio
from collections.abc import Iterable

import structlog

from koppel.connections.companies.changes import apply_description, mark_unreachable
from koppel.connections.sessions import Runtime, describing_session
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.kit.database.outage import is_outage
from koppel.kit.database.threads import run_in_thread
from koppel.kit.quarantine import Quarantined

CONCURRENT_CALLS_MAX = 10
log = structlog.get_logger(__name__)


async def describe_all(
    runtime: Runtime, organisation_id: int, companies: Iterable[tuple[int, str]]
) -> set[int]:
    """Describe companies given as (id, connector key), a few at a time, with one cheap call each. Returns the
    ids described.
    """
    semaphore = asyncio.Semaphore(CONCURRENT_CALLS_MAX)

    async def describe_with_limit(company_id: int, connector_key: str) -> int | None:
        async with semaphore:
            return (
                company_id if await _describe(runtime, organisation_id, company_id, connector_key) else None
            )

    described = await asyncio.gather(*(describe_with_limit(*company) for company in companies))
    return {company_id for company_id in described if company_id is not None}


async def _describe(runtime: Runtime, organisation_id: int, company_id: int, connector_key: str) -> bool:
    try:
        session = await describing_session(runtime, organisation_id, company_id)
        description = await connector(connector_key).describe_company(session)
        await run_in_thread(lambda: apply_description(organisation_id, company_id, description))
    except ConnectorError as error:
        # A person can type the identity; the next listing describes the company again.
        log.info("company_not_described", company=company_id, code=error.code)
        refusal = error if isinstance(error, SetupMissing | NotConsented) else None
        await run_in_thread(lambda: mark_unreachable(organisation_id, company_id, refusal))
    except Quarantined:
        raise
    except Exception as error:
        if is_outage(error):
            raise  # an outage says nothing about the company: the job is repeated
        # A description that cannot be understood or stored must not keep the others from being stored.
        log.exception("company_description_failed", company=company_id)
        await run_in_thread(lambda: mark_unreachable(organisation_id, company_id, None))
    else:
        return True
    return False
