"""An import of 200 administrations until all are active, while a user views pages.

Companies have 200 to 2,900 entry lines, about a thousand on average, and every response of the accounting
system takes 50 ms. A real `koppel web` serves the pages, requested one after the other as by a user who
follows the import: the list of the import and its polled part, the import's page, the dashboard, and one
administration with its accounts.
"""

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

from bench._mock_tenants import BenchmarkEnvironment, MockTenant, benchmark_environment
from koppel.kit.database.embedded_postgres import choose_free_port

COMPANIES = int(os.environ.get("KOPPEL_BENCH_COMPANIES", "200"))
LINES_MAX = 2900
LATENCY_SECONDS = 0.05
WORKERS = 2
SECONDS_MAX, PAGE_MILLISECONDS_MAX = 90, 200
PAUSE_SECONDS = 0.1


def run() -> list[dict[str, Any]]:
    with benchmark_environment(companies=COMPANIES, lines=LINES_MAX) as environment:
        tenant = environment.add_tenant("Ticked")
        environment.sandbox.control("companies?counts=1")  # generate the books before they are requested
        environment.sandbox.control("settings", {"latency_seconds": LATENCY_SECONDS})
        with environment.workers(WORKERS), web(environment) as address:
            return _figures(environment, tenant, address)


def _figures(environment: BenchmarkEnvironment, tenant: MockTenant, address: str) -> list[dict[str, Any]]:
    began = time.monotonic()
    ids = tenant.import_all()
    with looking(tenant, address, ids) as seconds_of_pages:
        environment.wait(
            "SELECT NOT EXISTS (SELECT FROM administrations_administration WHERE status <> 'active')", 900
        )
        seconds = time.monotonic() - began
    lines = int(environment.value("SELECT count(*) FROM books_entry_line"))
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
def web(environment: BenchmarkEnvironment) -> Iterator[str]:
    """Start a real `koppel web`; yield its address."""
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
def looking(tenant: MockTenant, address: str, ids: list[int]) -> Iterator[list[float]]:
    """View pages during the block; yield the seconds of each page."""
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
    cookie = _session_of(tenant)

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


def _session_of(tenant: MockTenant) -> str:
    """Return the session cookie of the organisation's user."""
    from django.conf import settings
    from django.test import Client

    from koppel.organisations.models import User

    client = Client()
    client.force_login(User.objects.get(pk=tenant.actor.user_id))
    return f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _at_most(name: str, value: float, unit: str, to_reach: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": value <= to_reach}
