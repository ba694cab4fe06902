"""First import of 100,000 entry lines into typed tables with the raw payload, beside a script and dlt.

A real worker reads the sandbox over loopback, in pages of 1,000, into the embedded PostgreSQL with durable
writes, the application role and row level security, as in production. The duration is the run's own, from its
start by the worker to its end, including the checks of the books. Koppel and the plain script run twice in
turn, and the better times count; dlt runs once more.
"""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from bench._app import BenchApp, bench_app, delete_books, entries_import, worker
from bench._floor import dlt, floor, pages

if TYPE_CHECKING:
    from tests.sync.factories import Synced

LINES, GOAL, FLOOR_SHARE, PEER_TIMES, SANDBOX_PAGES = 100_000, 40_000, 0.6, 3.0, 300


def run() -> list[dict[str, Any]]:
    with bench_app(companies=2, lines=LINES) as app:
        company = app.company(1)
        headers, periods = _headers(company), _periods(company)
        served = _pages_per_second(app, headers, periods)
        koppel, plain = [], []
        with worker(app) as process:
            for _round in range(2):
                delete_books(app)
                run_ = entries_import(company)
                koppel.append(_rate(app, run_))
                seconds, lines = floor(app.sandbox.url, headers, periods, app.addresses.superuser_url)
                plain.append(lines / seconds)
            memory = _peak_megabytes(process.pid)
        with tempfile.TemporaryDirectory(prefix="koppel-bench-dlt-") as folder:
            seconds, rows = dlt(app.sandbox.url, headers, app.addresses.superuser_url, Path(folder))
    return _figures(max(koppel), max(plain), rows / seconds, served, memory)


def _figures(koppel: float, plain: float, peer: float, served: float, memory: float) -> list[dict[str, Any]]:
    return [
        {
            "name": "sandbox",
            "value": round(served),
            "unit": "pages of 1,000 a second",
            "to_reach": SANDBOX_PAGES,
            "holds": served >= SANDBOX_PAGES,
        },
        {"name": "first import", "value": round(koppel), "unit": "lines/s"},
        {"name": "goal beyond", "value": round(koppel / GOAL, 2), "unit": "of 40,000 lines/s"},
        {
            "name": "share of the floor",
            "value": round(koppel / plain, 2),
            "unit": "times",
            "to_reach": FLOOR_SHARE,
            "holds": koppel / plain >= FLOOR_SHARE,
            "compared_with": f"plain script: fetch, hash, upsert; {plain:.0f} lines/s",
        },
        {
            "name": "against dlt",
            "value": round(koppel / peer, 2),
            "unit": "times",
            "to_reach": PEER_TIMES,
            "holds": koppel / peer >= PEER_TIMES,
            "compared_with": f"dlt 1.31, rest_api to postgres, merge (upsert), csv loader files; "
            f"{peer:.0f} lines/s",
        },
        {"name": "peak memory of the worker", "value": round(memory), "unit": "MB"},
    ]


def _headers(company: "Synced") -> dict[str, str]:
    """Return request headers with a token from the vault."""
    from koppel.connections.models import Grant
    from koppel.connections.vault.encryption import decrypt_token
    from koppel.kit.tenancy import organisation_scope

    organisation = company.actor.organisation_id
    with organisation_scope(organisation):
        grant = Grant.objects.get()
        token = decrypt_token(bytes(grant.access_token), organisation, grant.pk, "access_token")
    return {"Authorization": f"Bearer {token.reveal()}", "ipp-company-id": company.company_id}


def _periods(company: "Synced") -> list[str]:
    return sorted({str(one["period"]) for one in company.batches()})


def _pages_per_second(app: BenchApp, headers: dict[str, str], periods: list[str]) -> float:
    """Return pages per second of a second read, which the sandbox has encoded already."""
    list(pages(app.sandbox.url, headers, periods))
    began = time.perf_counter()
    for _body in pages(app.sandbox.url, headers, periods):
        pass
    return LINES / 1000 / (time.perf_counter() - began)


def _rate(app: BenchApp, run_id: int) -> float:
    with psycopg.connect(app.addresses.superuser_url) as connection:
        row = connection.execute(
            "SELECT sum(part.lines), extract(epoch FROM run.finished_at - run.started_at) FROM sync_run run"
            " JOIN sync_run_resource part ON part.run_id = run.id WHERE run.id = %s "
            "AND run.state = 'succeeded'"
            " GROUP BY run.id",
            [run_id],
        ).fetchone()
    assert row is not None, "The import did not succeed."
    assert row[0] >= LINES
    return float(row[0]) / float(row[1])


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
