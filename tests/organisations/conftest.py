"""Fixtures of organisations: an identity provider, a separate process, and an Administrator."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from koppel.organisations.roles import Actor
    from tests.organisations.provider_processes import Idp


@pytest.fixture(scope="module")
def running_provider() -> Iterator["Idp"]:
    from tests.organisations.provider_processes import running_idp

    with running_idp() as idp:
        yield idp


@pytest.fixture
def idp(running_provider: "Idp") -> "Idp":
    running_provider.reset()
    return running_provider


@pytest.fixture
def admin(actor: Any) -> "Actor":
    return actor("administrator")  # type: ignore[no-any-return]
