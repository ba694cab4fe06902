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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Side by side, the files that wait for processes and browsers begin first: none of them is left alone at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        waiting = {one.path for one in items if one.get_closest_marker("kill") or one.get_closest_marker("browser")}
        items.sort(key=lambda one: one.path not in waiting)
