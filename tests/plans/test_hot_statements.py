"""What runs all day finds its rows by an index, on the embedded PostgreSQL and on Debian's 15: as the
application role, under row level security, among the rows of fifty organisations.

The statements are those of the code, explained as it sends them. PostgreSQL chooses freely; a table of
thousands of rows that is read from end to end is the failure. How long anything takes is measured elsewhere
(`bench/`).
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import psycopg
import pytest
from django.db import connection as django_connection
from psycopg import AsyncConnection, AsyncCursor

from koppel.administrations.list.query import parse_query_string
from koppel.administrations.list.queryset import get_page
from koppel.administrations.models import Administration
from koppel.audit.queries import AuditFilter, entries_of
from koppel.books.read.changefeed import list_records
from koppel.books.read.queries import entry_with_lines, list_rows
from koppel.books.reports.trial_balance import differing_accounts, trial_balance
from koppel.books.reports.year_transitions import broken_transitions
from koppel.books.storage import row_deletion, writer
from koppel.company_registers.outbox import LOOKUP_OUTBOX
from koppel.connections.models import FailureKind
from koppel.connections.rate_limits.leases import LeaseKey, QuotaKey
from koppel.connections.rate_limits.quota import UsageReport
from koppel.connections.rate_limits.quota_store import QuotaStore
from koppel.connections.sessions import vendor_sessions
from koppel.connections.vault import grant_locks
from koppel.connections.vault.grant_store import GrantStore, RecordedFailure
from koppel.connector.contract import Record, Tokens
from koppel.connector.rows import EntryRow
from koppel.kit.database.embedded_postgres import Addresses, EmbeddedPostgres
from koppel.kit.database.embedded_postgres.binaries import Binaries, find_binaries
from koppel.kit.database.locks import LockName, lock_key
from koppel.kit.database.pool import Database
from koppel.kit.encryption import DecryptionError, Secret
from koppel.kit.tenancy import INSTALLATION, installation_scope, organisation_scope, set_scope_sql
from koppel.notifications.email.outbox import EMAIL_OUTBOX
from koppel.notifications.events.dispatch import dispatch_due
from koppel.notifications.inbox import queries as inbox
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.organisations.roles import Actor, Role
from koppel.sync.changes import log
from koppel.sync.changes.queries import ChangeFilter, changes_of
from koppel.sync.models import Run
from koppel.sync.runs import checkpoints, claims, queue, read_keys, rejected_records
from koppel.sync.runs.checkpoints import CheckpointState, ResourceDelta
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.services import request_due_runs
from tests.fixtures.requirements import DEBIAN_POSTGRESQL, skip_without
from tests.plans.rows import fill

pytestmark = pytest.mark.slow

LARGE = 1000
"""Rows from which on a table, or a partition of one, may not be read from end to end."""
FIRM, ADMINISTRATION, RUN, GRANT = 1, 7, 70, 13
CONNECTION, COMPANY = 2, 7
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FAILURE = RecordedFailure(FailureKind.UNREACHABLE, "code", "why")
RUN = ClaimedRun(
    id=RUN,
    attempt=1,
    organisation_id=FIRM,
    administration_id=ADMINISTRATION,
    connection_id=2,
    remote_company_id=ADMINISTRATION,
    connector="visma_net",
    full=False,
    resources=None,
    failures=0,
    crashes=0,
    trigger="schedule",
    created_at=NOW,
    worker_losses=0,
    killed_its_process=False,
)
BOSS = Actor(organisation_id=FIRM, membership_id=1, user_id=1, name="Anna", role=Role.ADMINISTRATOR)
USER = Actor(organisation_id=FIRM, membership_id=2, user_id=2, name="Ben", role=Role.USER)
_EXPLAINED = ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")
_TABLES = f"""
SELECT c.relname, NULL FROM pg_class c WHERE c.relkind = 'r' AND c.reltuples >= {LARGE}
 UNION ALL
SELECT c.relname, i.indpred IS NOT NULL FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
"""


class Tables(NamedTuple):
    """Which tables and partitions are large, and which indexes hold some of the rows only."""

    large: frozenset[str]
    partial_indexes: frozenset[str]

    def read_whole(self, plan: dict[str, Any]) -> Iterator[str]:
        """The large tables that a plan reads from end to end: by themselves, or by an index of all their
        rows.
        """
        kind = plan["Node Type"]
        by_index = kind in ("Index Scan", "Index Only Scan") and "Index Cond" not in plan
        is_whole = kind == "Seq Scan" or (by_index and plan["Index Name"] not in self.partial_indexes)
        if is_whole and plan["Relation Name"] in self.large:
            yield plan["Relation Name"]
        for below in plan.get("Plans", ()):
            yield from self.read_whole(below)


Plans = list[tuple[str, dict[str, Any]]]


class ExplainingCursor(AsyncCursor[tuple[Any, ...]]):
    """Asks for the plan of each statement before it is executed."""

    plans: Plans = []

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if text.lstrip().startswith(_EXPLAINED):
            async with AsyncCursor(self.connection) as explaining:
                await explaining.execute(f"EXPLAIN (FORMAT JSON) {text}".encode(), params)
                row = await explaining.fetchone()
            assert row is not None
            self.plans.append((text, row[0][0]["Plan"]))
        return await super().execute(query, params, **options)


class OneConnection:
    """Stands for a pool: every transaction is within the one that is rolled back at the end."""

    def __init__(self, connection: AsyncConnection[tuple[Any, ...]]) -> None:
        self._connection = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[tuple[Any, ...]]]:
        yield self._connection
        await self._connection.execute("ROLLBACK")


@pytest.fixture(scope="module", params=["embedded", pytest.param("debian", marks=pytest.mark.drill)])
def filled_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Addresses]:
    """A server of its own with a migrated database, full of rows."""
    programs = find_binaries() if request.param == "embedded" else _debian()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr("koppel.kit.database.embedded_postgres.server.find_binaries", lambda: programs)
        server = stack.enter_context(
            EmbeddedPostgres(tmp_path_factory.mktemp(request.param) / "postgres", durable=False)
        )
        environment = os.environ | {
            "DATABASE_URL": server.addresses.app_url,
            "KOPPEL_OWNER_DATABASE_URL": server.addresses.owner_url,
        }
        subprocess.run([sys.executable, "-m", "koppel.cli", "migrate"], env=environment, check=True)
        with psycopg.connect(server.addresses.superuser_url) as connection:
            fill(connection)
        yield server.addresses


def _debian() -> Binaries:
    """Debian's PostgreSQL 15, the oldest that Koppel runs on."""
    installed = Path("/usr/lib/postgresql")
    if not (folder := installed / "15" / "bin").is_dir():
        skip_without("PostgreSQL 15" if installed.is_dir() else DEBIAN_POSTGRESQL)
    return Binaries(folder, (15, 0))


@pytest.fixture
def tables(filled_database: Addresses) -> Tables:
    with psycopg.connect(filled_database.superuser_url) as connection:
        tables_of_schema = connection.execute(_TABLES.encode()).fetchall()
    large = frozenset(name for name, is_partial in tables_of_schema if is_partial is None)
    assert {"sync_run", "sync_change", "connections_grant", "administrations_administration"} <= large
    assert sum(name.startswith("books_entry_line_") for name in large) >= 10
    return Tables(large, frozenset(name for name, is_partial in tables_of_schema if is_partial))


@pytest.fixture
def django_on(
    filled_database: Addresses, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Django's connection leads to the filled database, and back afterwards."""
    parts = psycopg.conninfo.conninfo_to_dict(filled_database.app_url)
    settings = {
        "HOST": parts["host"],
        "PORT": str(parts["port"]),
        "PASSWORD": parts["password"],
        "NAME": parts["dbname"],
    }
    django_connection.close()
    for name, value in settings.items():
        monkeypatch.setitem(django_connection.settings_dict, name, value)
    yield
    django_connection.close()


AsyncWork = Callable[[AsyncConnection[tuple[Any, ...]], Database], Awaitable[object]]


async def _claim(connection: AsyncConnection[tuple[Any, ...]], _database: Database) -> None:
    await queue.claim_next(connection, "worker", 8)
    await queue.has_waiting(connection)
    await queue.release_claims(connection, "w1")


async def _run(connection: AsyncConnection[tuple[Any, ...]], _database: Database) -> None:
    await claims.heartbeat(connection, RUN)
    await checkpoints.plan_resources(connection, RUN, [("entries", ""), ("accounts", "")])
    await claims.reset_failures(connection, RUN)
    await checkpoints.finish_resource(connection, RUN, "entries", "failed", "why")


async def _checkpoint(connection: AsyncConnection[tuple[Any, ...]], _database: Database) -> None:
    await checkpoints.save_checkpoints(
        connection, RUN, [("r1", CheckpointState(), ResourceDelta(state="running", mode="full"))]
    )
    await read_keys.add_keys(connection, RUN, "entries", 2, ["E1", "E2"])
    await read_keys.count(connection, RUN, ["entries"], 1)
    await read_keys.delete(connection, RUN, ["accounts"])
    await rejected_records.delete_older(connection, RUN, ["entries"], NOW)


async def _page(connection: AsyncConnection[tuple[Any, ...]], _database: Database) -> None:
    def normalise(resource: str, raw: bytes, parent: str) -> EntryRow:
        return EntryRow(journal="GL", module="GL", number="1", period="202601", booked_on=date(2026, 1, 1))

    context = writer.WriteContext(
        organisation_id=FIRM,
        administration_id=ADMINISTRATION,
        at=NOW,
        normalise=normalise,
        versions={"entry_lines": 1, "entries": 1},
    )
    records = [
        Record(external_id=f"E{number}", raw=b"{}", partition="202601") for number in range(6001, 6101)
    ]
    await writer.stage(connection, context, "entries", records, {})
    ctes = f"WITH {log.insert_cte('entries')}, {rejected_records.delete_cte('incoming_books_entry_0')} "
    await writer.merge(
        connection, context, "entries", change_log_ctes=ctes, values=log.cte_params(RUN, "entries")
    )
    await row_deletion.missing_keys(
        connection,
        context,
        "entries",
        ["202601"],
        read_keys_sql=read_keys.LIST_KEYS_SQL,
        values={"read": 1},
    )
    await row_deletion.missing_keys(
        connection,
        context,
        "entry_lines",
        ["202601"],
        read_keys_sql=row_deletion.GIVEN_KEYS_SQL,
        values={"keys": ["L1"]},
    )
    await row_deletion.missing_line_keys(connection, context, ["E6001", "E6002"], ["L12001"])
    await log.log_deleted(connection, RUN, "entries", ["E6001"])
    await row_deletion.mark_deleted(connection, context, "entries", ["E6001"])


async def _vault(_connection: AsyncConnection[tuple[Any, ...]], database: Database) -> None:
    grants = GrantStore(database)
    await grants.due_grants(256, [1, 2])
    with suppress(DecryptionError):
        await grants.read(FIRM, GRANT)
    grant: Any = SimpleNamespace(organisation_id=FIRM, id=GRANT, generation=1, started_at=None)
    await grants.mark_refresh_started(grant, NOW)
    await grants.store_tokens(
        grant,
        Tokens(
            access_token=Secret("a"),
            refresh_token=Secret("r"),
            issued_at=NOW,
            expires_at=NOW + timedelta(hours=1),
        ),
        NOW,
        None,
    )
    await grants.record_failure(grant, FAILURE, NOW, None)


async def _grant_locks(connection: AsyncConnection[tuple[Any, ...]], _database: Database) -> None:
    ids = list(range(1, 101))
    keys = [lock_key(LockName.GRANT, grant_id) for grant_id in ids]
    values = {"ids": ids, "keys": keys, "generations": [1] * 100, "failures": [0] * 100}
    await connection.execute(grant_locks.TRY_LOCKS_SQL, values)


async def _sessions(connection: AsyncConnection[tuple[Any, ...]], _database: Database) -> None:
    statements = vendor_sessions._SQL
    await connection.execute(statements["read_session_grant"], {"grant_id": GRANT, "removed": "removed"})
    await connection.execute(vendor_sessions.READ_COMPANY_SQL, {"remote_company_id": COMPANY})
    await connection.execute(statements["choose_company_to_check"], {"connection_id": CONNECTION})
    await connection.execute(statements["record_connection_answered"], {"connection_id": CONNECTION})
    await connection.execute(statements["record_company_answered"], {"company_id": COMPANY})


async def _quotas(_connection: AsyncConnection[tuple[Any, ...]], database: Database) -> None:
    keys = [LeaseKey(QuotaKey.for_company(1, f"c{number}"), FIRM) for number in range(1, 21)]
    await QuotaStore(database, "worker").settle({key: UsageReport(calls=1) for key in keys}, keys, 0.0)


@pytest.mark.parametrize(
    ("work", "scope"),
    [
        (_claim, INSTALLATION),
        (_run, FIRM),
        (_checkpoint, FIRM),
        (_page, FIRM),
        (_vault, FIRM),
        (_grant_locks, INSTALLATION),
        (_sessions, FIRM),
        (_quotas, INSTALLATION),
    ],
)
def test_workers_and_vault(
    work: AsyncWork, scope: int, filled_database: Addresses, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: Plans = []
    monkeypatch.setattr(ExplainingCursor, "plans", plans)

    async def explain() -> None:
        async with await AsyncConnection.connect(filled_database.app_url, autocommit=True) as connection:
            connection.cursor_factory = ExplainingCursor
            await connection.execute("BEGIN")
            await connection.execute(*set_scope_sql(scope))
            await work(connection, Database(OneConnection(connection)))  # type: ignore[arg-type]

    asyncio.run(explain())
    assert_indexed(plans, tables)


@pytest.mark.usefixtures("django_on")
@pytest.mark.parametrize(
    "work",
    [
        lambda: get_page(BOSS, parse_query_string("")),
        lambda: get_page(USER, parse_query_string("sort=-name")),
        lambda: get_page(BOSS, parse_query_string("status=active&q=company")),
        lambda: list_rows(ADMINISTRATION, "entries", page=2),
        lambda: entry_with_lines(ADMINISTRATION, "E6001"),
        lambda: trial_balance(ADMINISTRATION, "2026", "202612"),
        lambda: differing_accounts(ADMINISTRATION),
        lambda: broken_transitions(ADMINISTRATION),
        lambda: list_records(ADMINISTRATION, "entries", after="E6100"),
        lambda: list_records(ADMINISTRATION, "entry_lines", changed_since=NOW),
        lambda: changes_of(
            Administration.objects.get(pk=ADMINISTRATION), Run.objects.get(pk=RUN.id), ChangeFilter()
        ),
        lambda: (inbox.unread_count(BOSS), inbox.newest_id(BOSS), inbox.list_page(BOSS)),
        lambda: list(entries_of(FIRM, AuditFilter())[:100]),
        lambda: dispatch_due(FIRM),
        lambda: EMAIL_OUTBOX.claim({"organisation_id": FIRM}),
        lambda: WEBHOOK_OUTBOX.claim({"organisation_id": FIRM, "webhook_id": FIRM}),
        lambda: LOOKUP_OUTBOX.claim({"organisation_id": FIRM}),
        lambda: EMAIL_OUTBOX.schedule({"organisation_id": FIRM}),
        lambda: WEBHOOK_OUTBOX.schedule({"organisation_id": FIRM, "webhook_id": FIRM}),
    ],
)
def test_pages_rest_and_jobs(work: Callable[[], object], tables: Tables) -> None:
    with organisation_scope(FIRM), rolled_back(), collect_plans() as plans:
        work()
    assert_indexed(plans, tables)


@pytest.mark.usefixtures("django_on")
def test_the_schedule(tables: Tables) -> None:
    with installation_scope("test"), rolled_back(), collect_plans() as plans:
        request_due_runs()
        for outbox in (EMAIL_OUTBOX, WEBHOOK_OUTBOX, LOOKUP_OUTBOX):
            outbox.enqueue_due()
    assert_indexed(plans, tables)


def test_a_table_read_from_end_to_end_is_noticed(filled_database: Addresses, tables: Tables) -> None:
    with psycopg.connect(filled_database.app_url) as connection:
        connection.execute(*set_scope_sql(FIRM))
        for query in (
            "SELECT FROM sync_run WHERE requested_by = 'x'",
            "SELECT FROM books_entry_line WHERE reference = '1'",
            "SELECT FROM sync_change ORDER BY id LIMIT 1",
        ):
            row = connection.execute(f"EXPLAIN (FORMAT JSON) {query}".encode()).fetchone()
            assert row is not None
            assert list(tables.read_whole(row[0][0]["Plan"])), query


def assert_indexed(plans: Plans, tables: Tables) -> None:
    assert plans
    whole = {
        f"{table}: {' '.join(text.split())[:300]}"
        for text, plan in plans
        for table in tables.read_whole(plan)
    }
    assert whole == set()


@contextmanager
def rolled_back() -> Iterator[None]:
    """What the block writes is gone after it: the next test finds the rows as they were made."""
    with django_connection.cursor() as cursor:
        cursor.execute("SAVEPOINT before")
        yield
        cursor.execute("ROLLBACK TO SAVEPOINT before")


@contextmanager
def collect_plans() -> Iterator[Plans]:
    """The plans of what Django sends within the block."""
    plans: Plans = []

    def explain(execute: Any, query: str, params: Any, many: bool, context: Any) -> Any:
        if query.lstrip().startswith(_EXPLAINED) and not many:
            with django_connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (FORMAT JSON) {query}", params)
                plans.append((query, cursor.fetchone()[0][0]["Plan"]))
        return execute(query, params, many, context)

    with django_connection.execute_wrapper(explain):
        yield plans
