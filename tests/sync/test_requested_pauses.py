"""A vendor asks for a pause, on an endpoint or at its token endpoint: no call is made before it is over, by
this worker, another one, or after a restart. Real HTTP against the sandbox; calls are counted.
"""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from django.db import connection
from django.utils import timezone

from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import Grant, RemoteCompany
from koppel.connector.errors import ConnectorError
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.sync.models import Run
from tests.fixtures.stack import MakeConnected, Sandbox
from tests.sync.factories import Synced

HOUR = 3600


def http_date_in_two_hours() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)


def calls(sandbox: Sandbox, path: str = "") -> int:
    return len(sandbox.calls(path))


def calls_for_company(synced: Synced) -> int:
    return len([one for one in synced.sandbox.calls() if str(one["company"]) == synced.company_id])


def check(synced: Synced) -> None:
    """A person tests the connection."""
    with organisation_scope(synced.actor.organisation_id):
        remote = RemoteCompany.objects.get(external_id=synced.company_id)
    check_connection(synced.actor, remote.connection_id)


def seconds_until(run: Run) -> float:
    assert run.not_before is not None
    return (run.not_before - timezone.now()).total_seconds()


def end_pauses() -> None:
    """As if their time had passed."""
    with installation_scope("pauses end"), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE connections_rate_limit SET state = jsonb_set(state, '{blocked_until}', '0', true)"
        )


@pytest.mark.parametrize(
    ("status", "value", "least"),
    [
        (503, str(HOUR), HOUR),
        (429, "two hours ahead", 2 * HOUR),
        (503, "two hours ahead", 2 * HOUR),
        (429, str(HOUR), HOUR),
        (502, "1800.5", 1800),
    ],
)
def test_no_call_is_made_for_a_company_before_the_pause_of_one_endpoint_is_over(
    synced: Synced, status: int, value: str, least: int
) -> None:
    assert synced.sync().state == "succeeded"
    header = http_date_in_two_hours() if value == "two hours ahead" else value
    synced.sandbox.fault("journaltransaction", status=status, times=50, headers={"Retry-After": header})
    synced.sandbox.forget_calls()
    run = synced.sync()
    assert run.state == "queued"
    assert least - 5 <= seconds_until(run) <= least + 5
    assert calls(synced.sandbox, "journaltransaction") == 1
    call_count = calls_for_company(synced)
    for _restart in range(3):
        run = synced.perform(run.pk)
        assert run.state == "queued"
        assert least - 60 < seconds_until(run)
    check(synced)
    assert calls_for_company(synced) == call_count > 0, "no call by another process or by a person either"
    synced.sandbox.release()
    end_pauses()
    assert synced.perform(run.pk).state == "succeeded"


@pytest.mark.parametrize("value", ["-5", "0", "soon", "Sun, 06 Nov 1994 08:49:37 GMT"])
def test_what_asks_for_no_pause_is_tried_again_after_koppels_own(synced: Synced, value: str) -> None:
    assert synced.sync().state == "succeeded"
    synced.sandbox.fault("journaltransaction", status=503, headers={"Retry-After": value})
    run = synced.sync()
    assert run.state == "queued"
    assert seconds_until(run) < 300
    assert synced.perform(run.pk).state == "succeeded"


def test_an_absurd_pause_is_capped_and_the_run_says_so(synced: Synced) -> None:
    assert synced.sync().state == "succeeded"
    synced.sandbox.fault(
        "journaltransaction", status=503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}
    )
    run = synced.sync()
    assert 3 * 86_400 - 5 < seconds_until(run) <= 3 * 86_400 + 5
    assert run.reason.startswith("Visma.net asked Koppel to wait for more than three days.")


def test_a_refused_list_of_companies_is_not_asked_for_again(connected: MakeConnected) -> None:
    firm = connected()
    firm.sandbox.fault("/context", status=503, times=50, headers={"Retry-After": str(HOUR)})
    firm.sandbox.forget_calls()
    for _click in range(3):
        with pytest.raises(ConnectorError):
            sync_company_list(firm.actor, firm.connection.pk)
    assert calls(firm.sandbox, "/context") == 1


@pytest.mark.parametrize(("status", "value"), [(503, str(HOUR)), (429, "two hours ahead")])
def test_the_token_endpoint_is_left_alone_and_the_run_waits(synced: Synced, status: int, value: str) -> None:
    assert synced.sync().state == "succeeded"
    least = HOUR if value == str(HOUR) else 2 * HOUR
    header = value if value == str(HOUR) else http_date_in_two_hours()
    synced.sandbox.fault("/connect/token", status=status, times=50, headers={"Retry-After": header})
    _expire_tokens(synced)
    synced.sandbox.forget_calls()
    run = synced.sync()
    for _restart in range(10):
        assert run.state == "queued"
        assert least - 60 < seconds_until(run)
        run = synced.perform(run.pk)
    assert calls(synced.sandbox, "/connect/token") == 1
    synced.sandbox.release()
    end_pauses()
    with organisation_scope(synced.actor.organisation_id):
        Grant.objects.update(retry_at=None)
    assert synced.perform(run.pk).state == "succeeded"


def _expire_tokens(synced: Synced) -> None:
    with organisation_scope(synced.actor.organisation_id):
        long_ago = timezone.now() - timedelta(hours=2)
        Grant.objects.update(issued_at=long_ago, expires_at=timezone.now() - timedelta(minutes=1))
