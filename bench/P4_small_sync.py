"""The processor time of one small sync in the worker itself.

100 rows that changed at the source are read, written and checked in a running process. PostgreSQL and the
sandbox are other processes and are not counted.
"""

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from django.db import connections

from bench._app import bench_app

if TYPE_CHECKING:
    from tests.sync.factories import Synced

ROWS, TIMES, TO_REACH_MS = 100, 15, 20.0


def run() -> list[dict[str, Any]]:
    with bench_app(companies=2, lines=2000) as app:
        company = app.company(1)
        assert company.sync().state == "succeeded"
        changed = asyncio.run(_measure(company, edit=True))
        quiet = asyncio.run(_measure(company, edit=False))
    value = round(statistics.median(changed) * 1000, 1)
    return [
        {
            "name": f"sync of {ROWS} changed rows",
            "value": value,
            "unit": "ms CPU",
            "to_reach": TO_REACH_MS,
            "holds": value <= TO_REACH_MS,
        },
        {
            "name": "sync in which nothing changed",
            "value": round(statistics.median(quiet) * 1000, 1),
            "unit": "ms CPU",
        },
    ]


async def _measure(company: "Synced", *, edit: bool) -> list[float]:
    from koppel.connections.sessions.runtime import as_worker
    from koppel.kit.database.threads import keep_thread_connections
    from koppel.kit.http.client import HttpClient
    from tests.sync.factories import claim_and_execute

    keep_thread_connections()
    numbers = sorted({one["number"] for one in company.batches()})
    cpu_seconds = []
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with HttpClient() as http, as_worker(http, size=4) as runtime:
            for turn in range(TIMES):
                run_id = await asyncio.to_thread(_ask, company, numbers, f"Round {turn}" if edit else "")
                began = time.process_time()
                await claim_and_execute(runtime, company.actor.organisation_id, run_id)
                cpu_seconds.append(time.process_time() - began)
        await asyncio.to_thread(connections.close_all)
    return cpu_seconds[3:]


def _ask(company: "Synced", numbers: list[str], description: str) -> int:
    """Edit entries with about `rows` rows including their lines, and request a sync."""
    from koppel.kit.tenancy import organisation_scope
    from koppel.sync.models import Run
    from koppel.sync.runs.services import request_run

    if description:
        company.change(edit=dict.fromkeys(numbers[: ROWS // 4], description))
    with organisation_scope(company.actor.organisation_id):
        request_run(company.actor, company.administration_id)
        return Run.objects.filter(state="queued").latest("pk").pk
