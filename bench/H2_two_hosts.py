"""Workers on two hosts, one of which loses its network during its runs.

The other host must finish the runs, and late writes of the first must be refused.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench._django import migrate_database
from bench._mock_tenants import NO_OPEN_RUNS, BenchmarkEnvironment
from bench._two_hosts import HUB, Host, debian_postgres, missing_requirement, two_hosts
from tests.fixtures.stack import register_app, run_sandbox, wait_until

COMPANIES = 6
SLOTS_LEFT_TO_OTHERS = 1
"""Of each worker: one organisation never uses all its slots."""
TAKEOVER_SECONDS_MAX = 30
LISTENING = (
    "SELECT count(DISTINCT client_addr) = 2 FROM pg_stat_activity"
    f" WHERE application_name = 'koppel locks' AND client_addr <> '{HUB}'"
)
EACH_HAS_SOME = "SELECT count(DISTINCT worker) = 2 FROM sync_run WHERE state = 'running'"


def run() -> list[dict[str, Any]]:
    if requirement := missing_requirement():
        raise RuntimeError(f"The benchmark needs {requirement}.")
    with (
        two_hosts() as (first, second),
        debian_postgres() as addresses,
        tempfile.TemporaryDirectory() as folder,
    ):
        home = Path(folder)
        migrate_database(addresses, home)
        with run_sandbox("--host", HUB, companies=COMPANIES, lines=400) as sandbox:
            environment = BenchmarkEnvironment(
                sandbox=sandbox, addresses=addresses, app=register_app(sandbox)
            )
            tenant = environment.add_tenant("Two hosts")
            sandbox.control("settings", {"latency_seconds": 0.15})
            with _worker(first, home / "first.log") as pid, _worker(second, home / "second.log"):
                environment.wait(LISTENING, 90)
                # Requests for entries are held, so that the network is cut during all runs however slow the
                # machine is.
                sandbox.hold("journaltransaction", times=10_000)
                tenant.import_all()
                environment.wait(EACH_HAS_SOME, 90, interval_seconds=0.05)
                wait_until(lambda: sandbox.holds(COMPANIES))
                return _cut(environment, first, pid, home / "first.log")


def _cut(environment: BenchmarkEnvironment, first: Host, pid: int, log: Path) -> list[dict[str, Any]]:
    left = environment.value(
        f"SELECT array_agg(id) FROM sync_run WHERE state = 'running' AND worker LIKE '%:{pid}:%'"
    )
    first.cut_off()
    cut_at = time.monotonic()
    environment.sandbox.control("settings", {"latency_seconds": 0})
    environment.sandbox.release()
    ids = ", ".join(map(str, left))
    environment.wait(
        f"SELECT bool_and(attempt >= 2) FROM sync_run WHERE id IN ({ids})", 90, interval_seconds=0.1
    )
    taken_over = time.monotonic() - cut_at
    environment.wait(NO_OPEN_RUNS, 120)
    finished = time.monotonic() - cut_at
    first.reconnect()
    refused = _wait_for(log, "run_taken_over", 90)
    active = environment.value("SELECT count(*) FROM administrations_administration WHERE status = 'active'")
    return [
        _figure(
            "taken over after the cut",
            round(taken_over, 1),
            "s",
            TAKEOVER_SECONDS_MAX,
            holds=taken_over <= TAKEOVER_SECONDS_MAX,
        ),
        {"name": "everything finished after the cut", "value": round(finished, 1), "unit": "s"},
        _figure("administrations active", active, "administrations", COMPANIES, holds=active == COMPANIES),
        _figure(
            "entry lines lost or doubled",
            _difference(environment),
            "lines",
            0,
            holds=_difference(environment) == 0,
        ),
        _figure(
            "runs of the cut-off host that were refused when it was back",
            refused,
            "runs",
            1,
            holds=refused >= 1,
        ),
    ]


def _difference(environment: BenchmarkEnvironment) -> int:
    source_lines = sum(
        company["entry_lines"] for company in environment.sandbox.control("companies?counts=1")["companies"]
    )
    return abs(source_lines - int(environment.value("SELECT count(*) FROM books_entry_line")))


def _wait_for(log: Path, word: str, seconds: float) -> int:
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at and word not in log.read_text():
        time.sleep(0.2)
    return log.read_text().count(word)


@contextlib.contextmanager
def _worker(host: Host, log: Path) -> Iterator[int]:
    """Return the worker's process id, which is part of its name."""
    with log.open("wb") as words:
        slots = COMPANIES // 2 + SLOTS_LEFT_TO_OTHERS
        command = host.command(sys.executable, "-m", "koppel.cli", "worker", "--concurrency", str(slots))
        process = subprocess.Popen(command, env=dict(os.environ), stderr=words)
        try:
            yield process.pid
        finally:
            process.kill()
            process.wait()


def _figure(name: str, value: float, unit: str, to_reach: float, *, holds: bool) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "to_reach": to_reach, "holds": holds}
