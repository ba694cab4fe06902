"""100 random `kill -9` of the worker while it imports 100,000 entry lines: nothing lost, nothing doubled, hardly a page twice.

Each life is a process that is forked ready to work, so that it dies within the import and not within its start. What a live
worker finds out after 15 s of silence, that the one before is dead, is told to the database at once: how long a takeover takes
is measured by `tests/sync/test_workers.py`.
"""

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import psycopg

from bench._stand import Stand, stand

if TYPE_CHECKING:
    from tests.sync.syncing import Synced

LINES, KILLS, SEED = 100_000, 100, 4
LIFE_SECONDS = (0.02, 0.4)


def run() -> list[dict[str, Any]]:
    with stand(companies=2, lines=LINES) as stood:
        company = stood.company(1)
        total = sum(len(one["lines"]) for one in company.batches())
        run_id = _ask(company)
        stood.sandbox.forget_calls()
        kills = _lives(stood, company.actor.organisation_id, run_id)
        calls = stood.sandbox.calls("journaltransaction")
        held = len(company.rows("entry_lines"))
        exact = company.is_exact()
    again = _fetched_again(calls, kills)
    done = {"unit": f"after {len(kills)} kills"}
    return [
        {"name": "kills during the import", "value": len(kills), "unit": "times", "to_reach": KILLS,
         "holds": len(kills) >= KILLS},
        {"name": "lines lost", "value": max(total - held, 0), **done, "to_reach": 0, "holds": exact},
        {"name": "lines doubled", "value": max(held - total, 0), **done, "to_reach": 0, "holds": exact},
        {"name": "pages fetched again, at most after one kill", "value": max(again, default=0), "unit": "pages",
         "to_reach": 1, "holds": max(again, default=0) <= 1},
        {"name": "pages fetched again, all kills together", "value": sum(again), "unit": "pages"},
    ]  # fmt: skip


def _ask(company: "Synced") -> int:
    from koppel.kit.tenancy import organisation_scope
    from koppel.sync.models import Run
    from koppel.sync.services import request_run

    with organisation_scope(company.actor.organisation_id):
        company.settings(resources=["entries"])
        request_run(company.actor, company.administration_id)
        return Run.objects.latest("pk").pk


def _lives(stood: Stand, organisation_id: int, run_id: int) -> list[float]:
    """When each worker was killed. The last one lives until the run is over."""
    dice = random.Random(SEED)
    kills: list[float] = []
    while _state(stood, run_id) not in ("succeeded", "failed", "partial"):
        child = _worker(organisation_id, run_id)
        if len(kills) < KILLS:
            time.sleep(dice.uniform(*LIFE_SECONDS))
            os.kill(child, signal.SIGKILL)
            kills.append(time.time())
        os.waitpid(child, 0)
        with psycopg.connect(stood.addresses.superuser_url) as connection:
            connection.execute(
                "UPDATE sync_run SET heartbeat_at = '2020-01-01', not_before = NULL WHERE id = %s", [run_id]
            )
    return kills


def _worker(organisation_id: int, run_id: int) -> int:
    from django.db import connections

    from tests.sync.syncing import perform

    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(perform(organisation_id, run_id))
        finally:
            os._exit(0)
    return child


def _state(stood: Stand, run_id: int) -> str:
    with psycopg.connect(stood.addresses.superuser_url) as connection:
        row = connection.execute("SELECT state FROM sync_run WHERE id = %s", [run_id]).fetchone()
    return str(row[0]) if row else ""


def _fetched_again(calls: list[dict[str, Any]], kills: list[float]) -> list[int]:
    """For each kill, how many pages the next life asked for that an earlier life had asked for too."""
    seen: set[tuple[str, str]] = set()
    counts: list[int] = []
    for begin, end in zip([0.0, *kills], [*kills, float("inf")], strict=True):
        pages = {(one["query"]["periodId"], one["query"]["pageNumber"]) for one in calls if begin <= one["at"] < end}
        counts.append(len(pages & seen))
        seen |= pages
    return counts
