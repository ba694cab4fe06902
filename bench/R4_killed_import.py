"""100 random `kill -9` of the worker while it imports 100,000 entry lines:
nothing lost, nothing doubled, hardly a page twice.

An import is over before the hundredth; then the books are forgotten and it begins again, until there were a
hundred kills. What one import left is compared with the source each time.

Each life is a process that is forked ready to work, so that it dies within the import and not within its
start. What a live worker finds out after 15 s of silence, that the one before is dead, is told to the
database at once: how long a takeover takes is measured by `H2.py`.
"""

import asyncio
import os
import random
import signal
import time
from typing import TYPE_CHECKING, Any

import psycopg

from bench._app import BenchApp, bench_app, delete_books

if TYPE_CHECKING:
    from tests.sync.factories import Synced

LINES, KILLS, SEED = 100_000, 100, 4
LIFE_SECONDS = (0.02, 0.4)


def run() -> list[dict[str, Any]]:
    with bench_app(companies=2, lines=LINES) as stood:
        company = stood.company(1)
        company.settings(resources=["entries"])
        total = sum(len(one["lines"]) for one in company.batches())
        kills, lost, doubled, again, exact, imports = 0, 0, 0, list[int](), True, 0
        while kills < KILLS:
            delete_books(stood)
            run_id = _ask(company)
            stood.sandbox.forget_calls()
            killed = _lives(stood, company.actor.organisation_id, run_id, KILLS - kills)
            held = len(company.rows("entry_lines"))
            again += _fetched_again(stood.sandbox.calls("journaltransaction"), killed)
            kills, lost, doubled = (
                kills + len(killed),
                lost + max(total - held, 0),
                doubled + max(held - total, 0),
            )
            exact, imports = exact and company.is_exact(), imports + 1
    done = {"unit": f"lines, {kills} kills in {imports} imports"}
    return [
        {
            "name": "kills during the import",
            "value": kills,
            "unit": "times",
            "to_reach": KILLS,
            "holds": kills >= KILLS,
        },
        {"name": "lines lost", "value": lost, **done, "to_reach": 0, "holds": exact},
        {"name": "lines doubled", "value": doubled, **done, "to_reach": 0, "holds": exact},
        {
            "name": "pages fetched again, at most after one kill",
            "value": max(again, default=0),
            "unit": "pages",
            "to_reach": 1,
            "holds": max(again, default=0) <= 1,
        },
        {"name": "pages fetched again, all kills together", "value": sum(again), "unit": "pages"},
    ]


def _ask(company: "Synced") -> int:
    from koppel.kit.tenancy import organisation_scope
    from koppel.sync.models import Run
    from koppel.sync.runs.services import request_run

    with organisation_scope(company.actor.organisation_id):
        request_run(company.actor, company.administration_id)
        return Run.objects.latest("pk").pk


def _lives(stood: BenchApp, organisation_id: int, run_id: int, kills_max: int) -> list[float]:
    """When each worker was killed. The last one lives until the run is over."""
    dice = random.Random(SEED + kills_max)
    kills: list[float] = []
    while _state(stood, run_id) not in ("succeeded", "failed", "partial"):
        child = _worker(organisation_id, run_id)
        if len(kills) < kills_max:
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

    from tests.sync.factories import perform

    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(perform(organisation_id, run_id))
        finally:
            os._exit(0)
    return child


def _state(stood: BenchApp, run_id: int) -> str:
    with psycopg.connect(stood.addresses.superuser_url) as connection:
        row = connection.execute("SELECT state FROM sync_run WHERE id = %s", [run_id]).fetchone()
    return str(row[0]) if row else ""


def _fetched_again(calls: list[dict[str, Any]], kills: list[float]) -> list[int]:
    """For each kill, how many pages the next life asked for that an earlier life had asked for too."""
    seen: set[tuple[str, str]] = set()
    counts: list[int] = []
    for begin, end in zip([0.0, *kills], [*kills, float("inf")], strict=True):
        pages = {
            (call["query"]["periodId"], call["query"]["pageNumber"])
            for call in calls
            if begin <= call["at"] < end
        }
        counts.append(len(pages & seen))
        seen |= pages
    return counts
