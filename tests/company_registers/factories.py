"""Lets a worker's job ask the registers, within the test's own process."""

import asyncio

from koppel.company_registers.tasks import look_up
from koppel.connections.sessions.runtime import as_worker
from koppel.kit.http.client import HttpClient
from koppel.organisations.roles import Actor


def run_lookup_worker(admin: Actor) -> None:
    async def within() -> None:
        async with HttpClient() as http, as_worker(http, size=4):
            await look_up(organisation_id=admin.organisation_id)

    asyncio.run(within())
