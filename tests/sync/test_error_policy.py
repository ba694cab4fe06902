"""The reaction to errors that other connectors derive from the contract's, and the wait after one."""

import pytest

from koppel.connector.errors import (
    ConnectorError,
    ConsentLost,
    NotConsented,
    RateLimited,
    UnexpectedResponse,
    Unreachable,
)
from koppel.connectors.visma_net.connector import VismaNet
from koppel.sync.engine.error_policy import FAILURES_MAX, POLICIES, Action, policy_for, wait_seconds
from tests.sync.factories import Synced


class MaintenanceWindow(Unreachable):
    """Of a connector of others, as are the next two."""


class LicenceEnded(NotConsented, ConsentLost):
    pass


class Unheard(ConnectorError):
    pass


def test_a_derived_error_has_the_policy_of_its_nearest_base() -> None:
    assert policy_for(MaintenanceWindow("maintenance"), 0) == POLICIES[Unreachable]
    assert policy_for(MaintenanceWindow("maintenance"), FAILURES_MAX - 1).action is Action.FAIL
    assert policy_for(LicenceEnded("licence"), 0) == POLICIES[NotConsented]
    assert policy_for(Unheard("unheard"), 0) == POLICIES[UnexpectedResponse]


def test_a_run_waits_after_a_derived_error(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_arguments: object) -> None:
        raise MaintenanceWindow("maintenance", "Closed at night.")

    monkeypatch.setattr(VismaNet, "read_page", refuse)
    run = synced.sync()
    assert (run.state, run.reason_code, run.failures, run.crashes) == ("queued", "maintenance", 1, 0)
    assert run.not_before is not None


@pytest.mark.parametrize("failures", [0, 1, 5, 60])
@pytest.mark.parametrize("guess", [0, 1, 30, 4000])
def test_a_wait_is_the_backoff_and_never_shorter_than_a_requested_pause(failures: int, guess: int) -> None:
    guessed = wait_seconds(MaintenanceWindow("down", retry_after_seconds=guess), failures)
    assert 0 < guessed <= 300
    for pause in (5, 4000):
        requested = Unreachable("down", retry_after_seconds=guess, requested_pause_seconds=pause)
        assert wait_seconds(requested, failures) >= pause
        assert wait_seconds(RateLimited("quota", retry_after_seconds=pause), failures) >= pause
