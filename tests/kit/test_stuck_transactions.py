"""Sessions of suspended processes lose their locks; harmless sessions are kept."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator

import psycopg
import pytest

from koppel.kit.database import stuck_transactions
from koppel.kit.database.pool import WORKER_APPLICATION_NAME, Database
from koppel.kit.database.stuck_transactions import terminate_stuck_sessions
from koppel.kit.tenancy import INSTALLATION
from tests.fixtures.people import MakeOrganisation
from tests.fixtures.stack import PATIENCE_SECONDS, wait_until

FROZEN = psycopg.Connection[tuple[object, ...]]
_LOCKED = (
    f"SELECT set_config('koppel.organisation', '{INSTALLATION}', true); SELECT "
    f"FROM organisations_organisation FOR UPDATE"
)


@pytest.fixture(autouse=True)
def short_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stuck_transactions, "STUCK_AFTER_SECONDS", 0.3)


@pytest.fixture
def session(clean_database: None) -> Iterator[FROZEN]:
    """Of a process that does nothing more."""
    connection = psycopg.connect(os.environ["DATABASE_URL"])
    yield connection
    with contextlib.suppress(psycopg.Error):
        connection.close()


def terminate_silent() -> int:
    async def look() -> int:
        async with Database.open(size=1) as database, database.installation_transaction() as connection:
            return await terminate_stuck_sessions(connection)

    return asyncio.run(look())


def is_waiting_for_client(session: FROZEN) -> bool:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        activity = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = %s"
        row = connection.execute(activity, [session.info.backend_pid]).fetchone()
    return row == ("idle in transaction", "ClientRead")


def is_ended(session: FROZEN) -> bool:
    try:
        session.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_a_worker_that_stopped_in_the_middle_of_a_statement_loses_its_session(session: FROZEN) -> None:
    session.execute(f"SET application_name = '{WORKER_APPLICATION_NAME}'")
    session.execute("CREATE TEMPORARY TABLE told (line text)")
    with contextlib.suppress(psycopg.OperationalError), session.cursor().copy("COPY told FROM STDIN") as copy:
        copy.write(b"half a li")
        wait_until(lambda: terminate_silent() == 1)
    assert is_ended(session)


def test_a_session_that_only_waits_between_statements_keeps_its_time(
    session: FROZEN, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.execute("SELECT 1")
    wait_until(lambda: is_waiting_for_client(session))
    monkeypatch.setattr(stuck_transactions, "STUCK_AFTER_SECONDS", 0)
    assert terminate_silent() == 0
    assert not is_ended(session)


def test_an_idle_session_that_blocks_others_is_ended(session: FROZEN, organisation: MakeOrganisation) -> None:
    organisation()
    session.execute(_LOCKED)
    waited = threading.Event()

    def wait() -> None:
        with psycopg.connect(os.environ["DATABASE_URL"]) as other:
            other.execute(_LOCKED)
        waited.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    wait_until(lambda: terminate_silent() == 1)
    assert waited.wait(PATIENCE_SECONDS)
    waiting.join()
    assert is_ended(session)
