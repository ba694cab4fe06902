"""A worker killed during a bulk action: another one continues, and nothing is done twice."""

import os
import signal
from typing import Any

import psycopg
import pytest

from koppel.administrations.bulk import operations
from koppel.administrations.bulk.execution import CHUNK_ITEMS
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.models import Assignment, BulkItem, BulkOperation
from koppel.audit.models import AuditEntry
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from tests.administrations.factories import create_firm
from tests.administrations.test_bulk import colleague
from tests.fixtures.stack import run_worker, wait_until

TIME_PASSES = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'"
"""So that nobody waits half a minute for the dead worker's heartbeat to be missed."""

IN_THE_FOURTH_CHUNK = """
SELECT FROM administrations_administration WHERE id =
 (SELECT administration_id FROM administrations_bulk_item
   WHERE operation_id = %s ORDER BY id OFFSET %s LIMIT 1) FOR UPDATE
"""
WAITS = (
    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
)
"""For us: a worker may wait for a moment for something else, and before it has come so far."""

ENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted "
    "AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
)


@pytest.mark.kill
def test_another_worker_continues_where_a_killed_one_stopped(
    actor: Any, database_addresses: Addresses
) -> None:
    admin = actor("administrator")
    anna = colleague(actor, admin, "user")
    firm = create_firm(admin, CHUNK_ITEMS * 8)
    with organisation_scope(admin.organisation_id):
        params = {"add": [anna.membership_id], "sector": "S", "template": firm.templates[1]}
        draft = operations.preview(admin, "change", params, Selection(ids=firm.ids))
        operations.start_operation(admin, draft.pk)

    def changed() -> int:
        with organisation_scope(admin.organisation_id):
            return BulkItem.objects.filter(operation=draft, state="changed").count()

    with psycopg.connect(database_addresses.superuser_url) as other:
        other.execute(IN_THE_FOURTH_CHUNK, [draft.pk, 3 * CHUNK_ITEMS + 7])
        with run_worker(database_addresses.superuser_url) as first:
            wait_until(lambda: other.execute(WAITS).fetchone() == (True,))
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
    assert changed() == 3 * CHUNK_ITEMS, "a chunk is there wholly or not at all"
    with psycopg.connect(database_addresses.superuser_url) as connection:
        connection.execute(TIME_PASSES)
    with run_worker(database_addresses.superuser_url):
        wait_until(lambda: changed() == len(firm.ids))
        wait_until(lambda: state_of(admin.organisation_id, draft.pk) == "done")
    with organisation_scope(admin.organisation_id):
        entries = AuditEntry.objects.filter(action="administrations.assigned")
        audited_ids = [one for entry in entries for one in entry.details["administrations"]]
        assert sorted(audited_ids) == sorted(firm.ids), "each once in the trail"
        assert Assignment.objects.filter(membership_id=anna.membership_id).count() == len(firm.ids)


def state_of(organisation_id: int, operation_id: int) -> str:
    with organisation_scope(organisation_id):
        return BulkOperation.objects.get(pk=operation_id).state


def test_a_bulk_job_continues_after_a_database_outage(actor: Any, database_addresses: Addresses) -> None:
    admin = actor("administrator")
    firm = create_firm(admin, CHUNK_ITEMS)
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(admin, "change", {"sector": "S"}, Selection(ids=firm.ids))
        operations.start_operation(admin, draft.pk)
    with (
        psycopg.connect(database_addresses.superuser_url, autocommit=True) as other,
        run_worker(database_addresses.superuser_url),
    ):
        with other.transaction():
            other.execute(IN_THE_FOURTH_CHUNK, [draft.pk, 7])
            wait_until(lambda: other.execute(WAITS).fetchone() == (True,))
            other.execute(ENDS)
            wait_until(lambda: other.execute(WAITS).fetchone() == (False,))
        wait_until(lambda: state_of(admin.organisation_id, draft.pk) == "done")
