"""Makes the fixtures of `tests/` available to every test, including those beside a connector's code."""

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent))

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Tests start some hundred programs, each of which would else compile Django anew."""

settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")
"""The same examples everywhere and no deadline, because machines differ in speed. `pytest
--hypothesis-profile=default` tries other examples."""

pytest_plugins = [
    "tests.fixtures.requirements",
    "tests.fixtures.database",
    "tests.fixtures.people",
    "tests.fixtures.environment",
    "tests.fixtures.stack",
]


LONG = ("kill", "browser", "slow")
"""Markers of tests that take long or wait for other processes."""
LONGEST_SECONDS = 900
"""Tests with such a time-out take minutes."""
STARTS_PROCESSES = {"sandbox", "worker", "free_port"}
"""Fixtures of tests that use other processes, which take longer than tests that read pages."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start the slowest files first in a parallel run, so that none of them runs alone at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        places: dict[Path, int] = {}
        for item in items:
            places[item.path] = min(_place(item), places.get(item.path, 2))
        items.sort(key=lambda item: places[item.path])


def pytest_collection_finish() -> None:
    """Spare the garbage collector half a million objects of imports and tests, which all stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _place(item: pytest.Item) -> int:
    timeout = item.get_closest_marker("timeout")
    if timeout and timeout.args[0] >= LONGEST_SECONDS:
        return -1
    if any(item.get_closest_marker(name) for name in LONG):
        return 0
    return 2 - bool(STARTS_PROCESSES.intersection(getattr(item, "fixturenames", ())))
