"""Fixtures of the simulated registers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.stack import Sandbox


@pytest.fixture
def registers(sandbox: Sandbox, settings: Any) -> Iterator[Sandbox]:
    """The sandbox's registers, as the settings of this process name them."""
    sandbox.control("registers", {"reset": True})
    settings.REGISTER_URLS = {name: f"{sandbox.url}/registers/{name}" for name in settings.REGISTER_URLS}
    settings.REGISTERS, settings.KVK_API_KEY = list(settings.REGISTER_URLS), "sandbox"
    yield sandbox
    sandbox.control("registers", {"reset": True})
