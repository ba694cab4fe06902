"""Makes the fixtures of `tests/` known to every test, also to those that live beside a connector's code."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent))

settings.register_profile(
    "repeatable", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")
"""The same examples everywhere, and one that takes long says something about the machine alone. `pytest
--hypothesis-profile=default` looks for others."""

pytest_plugins = [
    "tests.fixtures.requirements",
    "tests.fixtures.database",
    "tests.fixtures.people",
    "tests.fixtures.environment",
    "tests.fixtures.stack",
]


LONG = ("kill", "browser", "slow")
"""Marks of tests that take long or wait for other processes."""
STARTS_PROCESSES = {"sandbox", "worker", "free_port"}
"""Fixtures of tests that talk to other processes: they take longer than those that read pages."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, the files that take longest begin first: none of them is left alone at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        places: dict[Path, int] = {}
        for item in items:
            places[item.path] = min(_place(item), places.get(item.path, 2))
        items.sort(key=lambda item: places[item.path])


def _place(item: pytest.Item) -> int:
    if any(item.get_closest_marker(name) for name in LONG):
        return 0
    return 2 - bool(STARTS_PROCESSES.intersection(getattr(item, "fixturenames", ())))
