"""Makes the fixtures of `tests/` known to every test, also to those that live beside a connector's code."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

pytest_plugins = [
    "tests.fixtures.database",
    "tests.fixtures.people",
    "tests.fixtures.surroundings",
    "tests.fixtures.stack",
]
