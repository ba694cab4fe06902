"""Fixtures of organisations: an identity provider, a separate process, and an Administrator."""

from collections.abc import Iterator
from typing import Any

import pytest

from koppel.organisations.roles import Actor
from tests.organisations.provider_processes import (
    Idp,
    running_idp,
)


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Idp]:
    with running_idp() as idp:
        yield idp


@pytest.fixture
def idp(running_provider: Idp) -> Idp:
    running_provider.reset()
    return running_provider


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]
