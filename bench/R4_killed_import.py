"""100 random `kill -9` of the worker during an import of 100,000 entry lines.

Nothing may be lost or duplicated, and few pages fetched twice. An import ends before the hundredth kill; then
the books are deleted and it starts again. After each import the books are compared with the source.

Each worker is a process that is forked when ready to work, so that it dies during the import and not during
its start. The death of the previous worker, which another one normally notices after 15 s without a
heartbeat, is written to the database at once: `H2.py` measures the time of a takeover.
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
    with bench_app(companies=2, lines=LINES) as app:
        company = app.company(1)
        company.settings(resources=["entries"])
        total = sum(len(one["lines"]) for one in company.batches())
        kills, lost, doubled, fetched_again, exact, imports = 0, 0, 0, list[int](), True, 0
        while kills < KILLS:
            delete_books(app)
            run_id = _ask(company)
            app.sandbox.forget_calls()
            killed = _kill_workers(app, company.actor.organisation_id, run_id, KILLS - kills)
            held = len(company.rows("entry_lines"))
            fetched_again += _fetched_again(app.sandbox.calls("journaltransaction"), killed)
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
            "value": max(fetched_again, default=0),
            "unit": "pages",
            "to_reach": 1,
            "holds": max(fetched_again, default=0) <= 1,
        },
        {"name": "pages fetched again, all kills together", "value": sum(fetched_again), "unit": "pages"},
    ]


def _ask(company: "Synced") -> int:
    from koppel.kit.tenancy import organisation_scope
    from koppel.sync.models import Run
    from koppel.sync.runs.services import request_run

    with organisation_scope(company.actor.organisation_id):
        request_run(company.actor, company.administration_id)
        return Run.objects.latest("pk").pk


def _kill_workers(app: BenchApp, organisation_id: int, run_id: int, kills_max: int) -> list[float]:
    """Return the time of death of each worker. The last one lives until the run is over."""
    dice = random.Random(SEED + kills_max)
    kills: list[float] = []
    while _state(app, run_id) not in ("succeeded", "failed", "partial"):
        child = _worker(organisation_id, run_id)
        if len(kills) < kills_max:
            time.sleep(dice.uniform(*LIFE_SECONDS))
            os.kill(child, signal.SIGKILL)
            kills.append(time.time())
        os.waitpid(child, 0)
        with psycopg.connect(app.addresses.superuser_url) as connection:
            connection.execute(
                "UPDATE sync_run SET heartbeat_at = '2020-01-01', not_before = NULL WHERE id = %s", [run_id]
            )
    return kills


def _worker(organisation_id: int, run_id: int) -> int:
    from django.db import connections

    from tests.sync.factories import perform_run

    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(perform_run(organisation_id, run_id))
        finally:
            os._exit(0)
    return child


def _state(app: BenchApp, run_id: int) -> str:
    with psycopg.connect(app.addresses.superuser_url) as connection:
        row = connection.execute("SELECT state FROM sync_run WHERE id = %s", [run_id]).fetchone()
    return str(row[0]) if row else ""


def _fetched_again(calls: list[dict[str, Any]], kills: list[float]) -> list[int]:
    """Return for each kill the number of pages that the next worker fetched again."""
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
