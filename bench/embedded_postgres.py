"""The start times of the embedded PostgreSQL: the first start, a later one, and after a crash."""

import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from koppel.kit.database.embedded_postgres import EmbeddedPostgres

TIMES = 5
START_SECONDS_MAX, RESTART_SECONDS_MAX = 1.0, 0.3


def run() -> list[dict[str, Any]]:
    """Return medians of five in one temporary data directory, with durable writes as in production."""
    with tempfile.TemporaryDirectory(prefix="koppel-bench-") as folder:
        data = Path(folder) / "postgres"
        first = _seconds_to_start(EmbeddedPostgres(data))
        warm_starts = [_seconds_to_start(EmbeddedPostgres(data)) for _round in range(TIMES)]
        with EmbeddedPostgres(data) as server:
            back = list(_seconds_after_kill(server))
    return [
        {"name": "first start, database made", "value": round(first, 3), "unit": "s"},
        _figure("later start", warm_starts, START_SECONDS_MAX),
        _figure("answers again after kill -9", back, RESTART_SECONDS_MAX),
    ]


def _figure(name: str, seconds: list[float], to_reach: float) -> dict[str, Any]:
    value = round(statistics.median(seconds), 3)
    return {"name": name, "value": value, "unit": "s", "to_reach": to_reach, "holds": value <= to_reach}


def _seconds_to_start(server: EmbeddedPostgres) -> float:
    began = time.perf_counter()
    with server:
        return time.perf_counter() - began


def _seconds_after_kill(server: EmbeddedPostgres) -> Iterator[float]:
    for _round in range(TIMES):
        if server.pid is None:
            raise RuntimeError("The server does not run.")
        os.kill(server.pid, signal.SIGKILL)
        began = time.perf_counter()
        while not server.ensure_running():
            time.sleep(0.001)
        yield time.perf_counter() - began
