"""The connector passes the conformance suite against its sandbox, with small pages."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from koppel.connections.sessions.runtime import runtime
from koppel.connections.sessions.vendor_sessions import reading_session
from koppel.connector import conformance
from koppel.connector.contract import HistoryWindow, RateLimitStatus, ReadMode, Session
from koppel.connector.errors import NotConsented, RateLimited, SetupMissing, UnexpectedResponse, Unreachable
from koppel.connector.registry import connectors
from koppel.kit.http.client import HttpClient, Response
from tests.fixtures.stack import MakeConnected
from tests.sync.factories import Synced, import_company

WINDOW = HistoryWindow(1, datetime.now(UTC).date())
SECRET = "koppel-demo-secret"


@pytest.fixture
def imported(connected: MakeConnected) -> Synced:
    """Imported, never read; the source cuts its pages at 40."""
    synced = import_company(connected())
    synced.paging(page_size_max=40)
    return synced


def run_with_session(synced: Synced, work: Callable[[Session], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        async with HttpClient() as http, runtime(http, size=2) as process:
            return await work(
                await reading_session(process, synced.actor.organisation_id, synced.administration_id)
            )

    return asyncio.run(within())


def connector() -> Any:
    return next(iter(connectors().values()))


def test_every_resource_keeps_the_rules_of_reading_and_normalising(imported: Synced) -> None:
    pages = run_with_session(
        imported, lambda session: conformance.check_reading(connector(), session, WINDOW)
    )
    conformance.check_normalising(connector(), pages)
    assert len(pages["entries"]) > 10
    assert set(conformance.keys(pages["entries"])) == set(imported.source_keys())


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, {RateLimited}),
        ({"status": 503}, {Unreachable}),
        ({"kind": "html", "status": 502}, {Unreachable}),
        ({"kind": "truncate"}, {Unreachable}),
        ({"kind": "replace", "old": "[", "body": '{"error":"no"}['}, {Unreachable, UnexpectedResponse}),
        ({"status": 403}, {NotConsented}),
        ({"status": 403, "body": '{"ExceptionFaultCode":"12027"}'}, {SetupMissing}),
        ({"status": 400, "body": '{"message":"no such thing"}'}, {UnexpectedResponse}),
    ],
)
def test_vendor_failures_become_errors_of_the_contract(
    imported: Synced, fault: dict[str, Any], expected: set[Any]
) -> None:
    imported.sandbox.fault("/v1/account", times=3, **fault)

    async def work(session: Session) -> Any:
        async def read() -> object:
            return await connector().read_page(session, "accounts", ReadMode.FULL, WINDOW, None)

        return await conformance.check_error(read, expected, [SECRET])

    error = run_with_session(imported, work)
    if isinstance(error, RateLimited):
        assert error.retry_after_seconds >= 7


def test_limits_are_read_from_real_answers_and_never_from_hostile_headers(imported: Synced) -> None:
    imported.sandbox.control("settings", {"quota": 40, "quota_seconds": 600})

    async def work(session: Session) -> Response:
        answers: list[Response] = []
        send = session.send

        async def send_and_keep(*arguments: Any, **options: Any) -> Response:
            answers.append(await send(*arguments, **options))
            return answers[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(session, "send", send_and_keep)
            await connector().describe_company(session)
        return answers[-1]

    (limit,) = conformance.check_rate_limits(connector(), run_with_session(imported, work))
    assert (limit.limit, limit.policy) == (40, "4-fixed-window")
    assert 0 <= limit.remaining < 40
    assert 0 < limit.reset_seconds <= 600


def test_the_suite_finds_a_connector_that_believes_or_breaks_over_any_header() -> None:
    answer = Response(status=200, headers={"x-left": "5"}, body=b"")

    class Breaking(SimpleNamespace):
        def rate_limits(self, response: Response) -> list[RateLimitStatus]:
            return [RateLimitStatus(limit=10, remaining=int(response.headers["x-left"]), reset_seconds=1.0)]

    class Inventing(SimpleNamespace):
        def rate_limits(self, response: Response) -> list[RateLimitStatus]:
            return [RateLimitStatus(limit=10, remaining=5, reset_seconds=1.0)]

    for faulty, words in ((Breaking(), "KeyError"), (Inventing(), "without headers")):
        with pytest.raises(conformance.ConformanceError, match=f"C18: .*{words}"):
            conformance.check_rate_limits(cast("Any", faulty), answer)
    assert conformance.check_rate_limits(cast("Any", SimpleNamespace()), answer) == (), "It reads no limits."


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [("7", 7.0), ("0", 0.0), ("-5", 0.0), ("1e300", 1e300), ("inf", None), ("nan", None)],
)
def test_a_reset_is_a_time_to_come_or_nothing(reset: str, seconds: float | None) -> None:
    headers = {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "-3", "x-ratelimit-reset": reset}
    limits = connector().rate_limits(Response(status=200, headers=headers, body=b""))
    assert list(limits) == (
        [] if seconds is None else [RateLimitStatus(limit=10, remaining=0, reset_seconds=seconds)]
    )


def test_a_reset_in_seconds_since_1970_counts_from_now() -> None:
    headers = {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "3",
        "x-ratelimit-reset": str(time.time() + 90),
    }
    (limit,) = connector().rate_limits(Response(status=200, headers=headers, body=b""))
    assert 80 < limit.reset_seconds <= 90


@pytest.mark.parametrize("policy", ["p" * 101, "a\x00b", "\udcff"])
def test_no_limit_has_a_name_that_cannot_be_stored(policy: str) -> None:
    with pytest.raises(ValueError, match="name"):
        RateLimitStatus(limit=10, remaining=5, reset_seconds=1.0, policy=policy)


def test_every_rule_names_who_is_responsible() -> None:
    assert [rule.key for rule in conformance.RULES] == [f"C{number}" for number in range(1, 20)]
    assert {rule.responsible for rule in conformance.RULES} == {"connector", "hub", "nobody"}


def test_the_suite_finds_a_connector_that_breaks_a_rule(
    imported: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conformance, "PAGES_MAX", 50)

    class Forgetful:
        """Reads on from the first page, whatever the cursor says."""

        def __getattr__(self, name: str) -> Any:
            return getattr(connector(), name)

        async def read_page(
            self, session: Session, resource: str, mode: Any, window: HistoryWindow, cursor: Any
        ) -> Any:
            return await connector().read_page(session, resource, mode, window, None)

    with pytest.raises(conformance.ConformanceError, match=r"C5|C8|C9"):
        run_with_session(imported, lambda session: conformance.check_reading(Forgetful(), session, WINDOW))
