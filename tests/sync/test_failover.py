"""What commits wait for, and what a worker does when the database lacks pages that it has committed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from koppel.connections.models import Grant
from koppel.connector.contract import Page
from koppel.connectors.visma_net.connector import VismaNet
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.sync.engine import page_commit, run_completion
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.models import Run
from koppel.sync.runs.claims import ClaimedRun
from tests.fixtures.stack import MakeConnected
from tests.sync.factories import Synced, import_company

WRITTEN_BY_PAGES = (
    "books_entry",
    "books_entry_line",
    "sync_checkpoint",
    "sync_change",
    "sync_read_key",
    "sync_run_resource",
)


class Replica:
    """The tables that pages write, as a standby has them that received no more after `stop`."""

    def __init__(self, addresses: Addresses) -> None:
        self._connection = psycopg.connect(addresses.superuser_url, autocommit=True)
        self._connection.execute("SET session_replication_role = replica")

    def stop(self) -> None:
        for table in WRITTEN_BY_PAGES:
            self._connection.execute(f"CREATE TABLE test_{table} AS SELECT * FROM {table}".encode())

    def promote(self) -> None:
        with self._connection.transaction():
            for table in WRITTEN_BY_PAGES:
                self._connection.execute(f"DELETE FROM {table}".encode())
                self._connection.execute(f"INSERT INTO {table} SELECT * FROM test_{table}".encode())

    def close(self) -> None:
        for table in WRITTEN_BY_PAGES:
            self._connection.execute(f"DROP TABLE IF EXISTS test_{table}".encode())
        self._connection.close()


@pytest.fixture
def replica(database_addresses: Addresses) -> Iterator[Replica]:
    opened = Replica(database_addresses)
    yield opened
    opened.close()


def _take_over(synced: Synced, run: Run) -> Run:
    """Another worker claims the run, as it does 15 s after the last heartbeat."""
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    return synced.perform(run.pk)


def test_pages_that_a_failover_lost_are_read_again(
    synced: Synced, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker waits for the vendor while the standby without the last two pages becomes the primary; its
    connections are renewed without an error. It would go on behind the gap.
    """
    read, pages = VismaNet.read_page, 0

    async def reading(self: VismaNet, session: Any, resource: str, *how: Any) -> Page:
        nonlocal pages
        pages += resource == "entries"
        if resource == "entries" and pages == 3:
            replica.stop()
        if resource == "entries" and pages == 5:
            replica.promote()
        return await read(self, session, resource, *how)

    monkeypatch.setattr(page_commit, "PENDING_ROWS_MAX", -1)
    monkeypatch.setattr(VismaNet, "read_page", reading)
    synced.paging(page_size_max=20)
    run = synced.sync()
    assert (pages, run.state) == (5, "running"), "The worker left the run to whoever claims it."
    assert not synced.is_exact()
    run = _take_over(synced, run)
    assert run.state == "succeeded"
    assert synced.is_exact()


def test_a_run_whose_last_pages_are_lost_does_not_succeed(
    synced: Synced, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed, read = run_completion.succeed, VismaNet.read_page
    entries_begun = False

    async def reading(self: VismaNet, session: Any, resource: str, *how: Any) -> Page:
        nonlocal entries_begun
        if resource == "entries" and not entries_begun:
            entries_begun = True
            replica.stop()
        return await read(self, session, resource, *how)

    def after_a_failover(held: ClaimedRun, plan: SyncPlan, committed_pages: int) -> bool:
        replica.promote()
        return succeed(held, plan, committed_pages)

    monkeypatch.setattr(VismaNet, "read_page", reading)
    with monkeypatch.context() as patch:
        patch.setattr(run_completion, "succeed", after_a_failover)
        run = synced.sync()
    assert run.state == "running"
    assert synced.administration_status() == "configuring"
    run = _take_over(synced, run)
    assert (run.state, synced.administration_status()) == ("succeeded", "active")
    assert synced.is_exact()


@contextmanager
def recorded_commits(addresses: Addresses, *tables: str) -> Iterator[set[tuple[str, str]]]:
    """For each of the tables, the `synchronous_commit` of the transactions that wrote to it; filled at the
    end.
    """
    commits: set[tuple[str, str]] = set()
    with psycopg.connect(addresses.superuser_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE test_commit (written text, setting text)")
        connection.execute(
            "CREATE FUNCTION test_record() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN "
            "INSERT INTO public.test_commit VALUES (TG_TABLE_NAME, current_setting('synchronous_commit')); "
            "RETURN NULL; END $$"
        )
        for table in tables:
            connection.execute(
                f"CREATE CONSTRAINT TRIGGER test_record AFTER INSERT OR UPDATE ON {table} "
                "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION test_record()".encode()
            )
        try:
            yield commits
            commits |= set(connection.execute("SELECT DISTINCT written, setting FROM test_commit").fetchall())
        finally:
            connection.execute("DROP FUNCTION test_record CASCADE")
            connection.execute("DROP TABLE test_commit")


def test_tokens_and_audit_wait_for_a_standby_and_pages_do_not(
    connected: MakeConnected, database_addresses: Addresses
) -> None:
    """The server of the tests waits for nothing at all."""
    with recorded_commits(database_addresses, "connections_grant", "audit_entry") as commits:
        synced = import_company(connected())
    assert commits == {("connections_grant", "on"), ("audit_entry", "on")}
    _expire_all(synced)
    with recorded_commits(database_addresses, "connections_grant", "sync_checkpoint", "sync_run") as commits:
        assert synced.sync().state == "succeeded"
    assert commits == {("connections_grant", "on"), ("sync_checkpoint", "local"), ("sync_run", "off")}


def _expire_all(synced: Synced) -> None:
    """So that the sync renews the token."""
    with organisation_scope(synced.actor.organisation_id):
        Grant.objects.update(expires_at=timezone.now())
