"""What one session or organisation may have at once, and what it is told beyond that."""

import runpy
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client

from koppel import settings as settings_module
from koppel.connections.sessions import call_vendor_blocking
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.locks import LOCK_UNTIL_COMMIT_SQL, LockName, lock_key
from koppel.kit.http import outbound_budget
from koppel.kit.http.outbound_budget import CALLS_MAX, CallKind, call_slot
from koppel.kit.tabular.export_limit import export_slot
from koppel.web.auth import middleware
from tests.fixtures.stack import wait_until
from tests.web.factories import World, build_world

LIST = "/administrations/"
LIST_API = "/api/v1/administrations"


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


@pytest.fixture
def browser(world: World) -> Client:
    return world.client("administrator")


def assert_refused(answer: Any, status: HTTPStatus) -> str:
    """The page or the code of a refusal that says when to come again."""
    assert (answer.status_code, int(answer.headers["Retry-After"]) > 0) == (status, True)
    return str(answer.content.decode())


def test_a_session_with_too_many_requests_is_told_when_to_go_on(
    world: World, browser: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SESSION_REQUESTS_PER_MINUTE = 6
    monkeypatch.setattr(middleware, "_requests", middleware._SessionRateLimit(lambda: 0.0))
    assert [browser.get(LIST).status_code for _number in range(3)] == [HTTPStatus.OK] * 3
    assert "Try again in 10 seconds" in assert_refused(browser.get(LIST), HTTPStatus.TOO_MANY_REQUESTS)
    assert '"too_many_requests"' in assert_refused(browser.get(LIST_API), HTTPStatus.TOO_MANY_REQUESTS)
    others = [world.client("administrator") for _number in range(4)]
    answers = [other.get(LIST).status_code for other in others for _number in range(3)]
    assert answers.count(HTTPStatus.OK) == 9, "Twelve at once for all sessions of the organisation."


def test_exports_at_a_time_are_limited_for_each_organisation(
    world: World, browser: Client, database_addresses: Addresses
) -> None:
    """Whichever process writes them; a slot is free when its process is gone."""
    export, mine, app_url = f"{LIST}export.csv", world.admin.organisation_id, database_addresses.app_url
    with psycopg.connect(app_url) as first, psycopg.connect(app_url) as second:
        for slot, other in enumerate((first, second)):
            other.execute(LOCK_UNTIL_COMMIT_SQL, [lock_key(LockName.EXPORT, mine, slot)])
        assert_refused(browser.get(export), HTTPStatus.TOO_MANY_REQUESTS)
        second.close()
        with export_slot(mine + 1):
            wait_until(lambda: is_file(browser.get(export)))


def is_file(answer: Any) -> bool:
    """Whether the answer is a file. All is read, so that it is closed."""
    return answer.status_code == HTTPStatus.OK and bool(b"".join(answer.streaming_content))


def test_a_request_that_finds_too_many_waiting_for_vendors_is_told_so(
    clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbound_budget, "WAITING_SECONDS", 0.01)
    with ExitStack() as slots:
        for _number in range(CALLS_MAX):
            slots.enter_context(call_slot(CallKind.VENDOR))
        with pytest.raises(outbound_budget.CallsBusy):
            call_vendor_blocking(1, lambda _runtime: pytest.fail("It must not call."))


def test_a_page_does_not_wait_for_a_lock_for_ever(browser: Client, database_addresses: Addresses) -> None:
    browser.get(LIST)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    with psycopg.connect(database_addresses.superuser_url) as maintenance:
        maintenance.execute("LOCK TABLE administrations_administration IN ACCESS EXCLUSIVE MODE")
        assert "stopped" in assert_refused(browser.get(LIST), HTTPStatus.SERVICE_UNAVAILABLE)
        assert '"database_busy"' in assert_refused(browser.get(LIST_API), HTTPStatus.SERVICE_UNAVAILABLE)
    assert browser.get(LIST).status_code == HTTPStatus.OK


@pytest.mark.parametrize(
    ("process", "statement", "lock"), [("web", "60s", "10s"), ("worker", "15min", "60s"), ("", "", "5min")]
)
def test_statements_have_time_outs_and_migrations_none(
    monkeypatch: pytest.MonkeyPatch, process: str, statement: str, lock: str
) -> None:
    monkeypatch.setenv("KOPPEL_PROCESS", process)
    databases = runpy.run_path(settings_module.__file__)["DATABASES"]
    options = databases["default"]["OPTIONS"]["options"]
    assert f"lock_timeout={lock}" in options
    assert (f"statement_timeout={statement}" in options) == bool(statement)
    assert "statement_timeout" not in databases["owner"]["OPTIONS"]["options"]
    assert "lock_timeout" not in databases["owner"]["OPTIONS"]["options"]
