"""Two hundred administrations ticked, until all are active, while somebody looks at the pages.

Companies have 200 to 2,900 entry lines, about a thousand on average, and every answer of the accounting
system takes 50 ms. The pages come from a real `koppel web`, asked one after the other as a person who follows
the import does: the list of the import and its moving part, the import's own page, the dashboard, one
administration with its accounts."""

import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._mock_tenants import Fleet, MockTenant, fleet
from koppel.kit.database.embedded_postgres import choose_free_port

COMPANIES = int(os.environ.get("KOPPEL_BENCH_COMPANIES", "200"))
LINES_MAX = 2900
LATENCY_SECONDS = 0.05
WORKERS = 2
SECONDS_MAX, PAGE_MILLISECONDS_MAX = 90, 200
PAUSE_SECONDS = 0.1


def run() -> list[dict[str, Any]]:
    with fleet(companies=COMPANIES, lines=LINES_MAX) as stand:
        firm = stand.firm("Ticked")
        stand.sandbox.control("companies?counts=1")  # books are made before anybody asks for them
        stand.sandbox.control("settings", {"latency_seconds": LATENCY_SECONDS})
        with stand.workers(WORKERS), web(stand) as address:
            return _figures(stand, firm, address)


def _figures(stand: Fleet, firm: MockTenant, address: str) -> list[dict[str, Any]]:
    began = time.monotonic()
    ids = firm.import_all()
    with looking(firm, address, ids) as seconds_of_pages:
        stand.wait(
            "SELECT NOT EXISTS (SELECT FROM administrations_administration WHERE status <> 'active')", 900
        )
        seconds = time.monotonic() - began
    lines = int(stand.value("SELECT count(*) FROM books_entry_line"))
    slow = statistics.quantiles(seconds_of_pages, n=20)[18] * 1000
    return [
        _at_most(
            f"{COMPANIES} administrations ticked, until all are active", round(seconds, 1), "s", SECONDS_MAX
        ),
        _at_most("pages meanwhile, 95th percentile", round(slow), "ms", PAGE_MILLISECONDS_MAX),
        {
            "name": "pages meanwhile, median",
            "value": round(statistics.median(seconds_of_pages) * 1000),
            "unit": "ms",
        },
        {"name": "pages looked at", "value": len(seconds_of_pages), "unit": "pages"},
        {"name": "entry lines per administration", "value": round(lines / COMPANIES), "unit": "lines"},
    ]


@contextlib.contextmanager
def web(stand: Fleet) -> Iterator[str]:
    """Where a real `koppel web` answers."""
    port = choose_free_port()
    command = [sys.executable, "-m", "koppel.cli", "web", "--port", str(port)]
    log = Path(os.environ["KOPPEL_DATA_DIR"]) / "web.log"
    with log.open("ab") as words:
        process = subprocess.Popen(command, env=dict(os.environ), stderr=words, stdout=words)
        address = f"http://127.0.0.1:{port}"
        try:
            _wait_until_it_answers(address)
            yield address
        finally:
            process.terminate()
            process.wait()


def _wait_until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=5).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@contextlib.contextmanager
def looking(firm: MockTenant, address: str, ids: list[int]) -> Iterator[list[float]]:
    """Within the block somebody looks; the seconds of each page."""
    durations: list[float] = []
    over = threading.Event()
    middle_id = ids[len(ids) // 2]
    paths = (
        "/administrations/?import=1",
        "/administrations/rows/?import=1",
        "/imports/1/",
        "/",
        f"/administrations/{middle_id}/",
        f"/administrations/{middle_id}/books/",
    )
    cookie = _session_of(firm)

    def look() -> None:
        for path in itertools.cycle(paths):
            if over.is_set():
                return
            began = time.perf_counter()
            request = urllib.request.Request(address + path, headers={"Cookie": cookie})
            with urllib.request.urlopen(request, timeout=60) as answer:
                if "/login" in answer.url:
                    raise RuntimeError(f"{path} asks to sign in.")
                answer.read()
            durations.append(time.perf_counter() - began)
            sys.stderr.write(f"{path} {durations[-1] * 1000:.0f} ms\n")
            over.wait(PAUSE_SECONDS)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield durations
    finally:
        over.set()
        thread.join()
    if len(durations) < len(paths):
        raise RuntimeError("The pages could not be looked at.")


def _session_of(firm: MockTenant) -> str:
    """The cookie of the firm's person, signed in."""
    from django.conf import settings
    from django.test import Client

    from koppel.organisations.models import User

    client = Client()
    client.force_login(User.objects.get(pk=firm.actor.user_id))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _at_most(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value <= to_reach}
