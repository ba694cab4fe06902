"""Runs that end their worker are counted, isolated and reported; failed first imports are tried again."""

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone
from typer.testing import CliRunner

from koppel.administrations.models import Administration, Status
from koppel.audit.models import AuditEntry
from koppel.issues.models import Issue
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.pool import Database
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.models import Notification
from koppel.sync.commands import app as sync_commands
from koppel.sync.models import Run
from koppel.sync.runs.claims import WORKER_LOSSES_MAX, ClaimedRun, claim_runs
from koppel.sync.runs.services import request_due_runs, request_first_runs
from tests.connections.factories import import_first
from tests.fixtures.stack import MakeConnected, run_worker, wait_until
from tests.sync.factories import Synced
from tests.sync.test_queue import firm_with

KILLING = """
from koppel.sync.worker import isolation
isolation.COMMAND = (isolation.sys.executable, "-c", '''
import os, signal, django
from koppel.cli.main import main
django.setup()
from koppel.sync.engine import run_reader
async def killed(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)
run_reader.RunReader.read_all = killed
main(["execute-run"])
''')
"""
"""The worker's own process is well; the one of a run of its own is killed while it reads."""


def claim(synced: Synced, run: Run, worker: str) -> ClaimedRun:
    """As a worker does that finds the run's heartbeat old."""

    async def claim_one() -> list[ClaimedRun]:
        async with Database.open(size=1) as database, database.installation_transaction() as connection:
            return await claim_runs(connection, [run.pk], worker)

    with organisation_scope(synced.actor.organisation_id):
        Run.objects.filter(pk=run.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    [claimed_run] = asyncio.run(claim_one())
    return claimed_run


def queued(synced: Synced) -> Run:
    with organisation_scope(synced.actor.organisation_id):
        request_first_runs(synced.actor, [synced.administration_id])
        return Run.objects.get()


def test_a_run_that_costs_its_workers_is_counted_until_it_makes_progress(synced: Synced) -> None:
    run = queued(synced)
    losses = [claim(synced, run, worker).worker_losses for worker in ("a", "a", "b", "c")]
    assert losses == [0, 0, 1, 2], "who keeps its own run was only held up"
    assert not claim(synced, run, "c").is_suspect
    suspect = claim(synced, run, "d")
    assert (suspect.worker_losses, suspect.is_suspect) == (WORKER_LOSSES_MAX, True)
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.filter(pk=run.pk).update(state="queued", worker_losses=1)
    run = synced.perform(run.pk)
    assert (run.state, run.worker_losses) == ("succeeded", 0)


@pytest.mark.kill
def test_a_run_that_kills_its_process_fails_alone(
    connected: MakeConnected, database_addresses: Addresses
) -> None:
    anna = connected()
    deadly, other = import_first(anna, 2, sync=True)
    with organisation_scope(anna.actor.organisation_id):
        Run.objects.filter(administration=deadly).update(worker_losses=WORKER_LOSSES_MAX)
    with run_worker(database_addresses.superuser_url, first=KILLING) as worker:
        wait_until(lambda: states(anna) == {deadly.pk: "failed", other.pk: "succeeded"})
        assert worker.poll() is None
    with organisation_scope(anna.actor.organisation_id):
        run = Run.objects.get(administration=deadly)
        assert (run.reason_code, run.attempt) == ("process_killed", 1)
        issue = Issue.objects.get(subject_id=deadly.pk, resolved_at=None)
        assert "signal 9" in str(issue.context["reason"])
        assert Administration.objects.get(pk=deadly.pk).status == Status.FAILED


def states(firm: Any) -> dict[int, str]:
    with organisation_scope(firm.actor.organisation_id):
        return dict(Run.objects.values_list("administration_id", "state"))


def test_the_run_after_a_deadly_one_is_isolated_and_may_succeed_there(
    synced: Synced, database_addresses: Addresses
) -> None:
    run = queued(synced)
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.filter(pk=run.pk).update(
            state="failed", reason_code="process_killed", finished_at=timezone.now()
        )
        request_first_runs(synced.actor, [synced.administration_id])
        newer = Run.objects.latest("pk")
    suspect = claim(synced, newer, "worker")
    assert suspect.is_suspect
    words = [sys.executable, "-m", "koppel.cli", "execute-run"]
    done = subprocess.run(words, input=msgspec.json.encode(suspect), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    with organisation_scope(synced.actor.organisation_id):
        assert Run.objects.get(pk=newer.pk).state == "succeeded"
    assert synced.is_exact()


def fail_first_import(synced: Synced) -> Run:
    synced.sandbox.fault("/v1/account$", status=404, times=20)
    run = synced.sync()
    assert synced.administration_status() == "failed"
    return run


def finished(synced: Synced, minutes_ago: int) -> None:
    with organisation_scope(synced.actor.organisation_id):
        newest = Run.objects.latest("pk")
        Run.objects.filter(pk=newest.pk).update(finished_at=timezone.now() - timedelta(minutes=minutes_ago))


def test_a_failed_first_import_is_tried_again_with_growing_pauses(synced: Synced) -> None:
    fail_first_import(synced)
    assert request_due_runs() == 0
    finished(synced, minutes_ago=16)
    assert request_due_runs() == 1
    assert synced.administration_status() == "queued"
    with organisation_scope(synced.actor.organisation_id):
        retried = Run.objects.latest("pk")
        notified = Notification.objects.count()
    assert (retried.trigger, retried.requested_by) == ("import", "")
    assert synced.perform(retried.pk).state == "partial"
    finished(synced, minutes_ago=16)
    assert request_due_runs() == 0
    finished(synced, minutes_ago=31)
    assert request_due_runs() == 1
    with organisation_scope(synced.actor.organisation_id):
        assert Notification.objects.count() == notified, "the failure was announced before"
        retried = Run.objects.latest("pk")
    synced.sandbox.release()
    assert synced.perform(retried.pk).state == "succeeded"
    assert synced.administration_status() == "active"


def test_an_import_that_a_person_stopped_is_not_tried_again(synced: Synced) -> None:
    queued(synced)
    synced.cancel()
    finished(synced, minutes_ago=3 * 24 * 60)
    assert request_due_runs() == 0
    assert synced.administration_status() == "failed"


def test_failed_administrations_of_all_organisations_are_retried_by_the_operator(actor: Any) -> None:
    firms = [firm_with(actor, 2)[0] for _number in range(2)]
    with installation_scope("test"):
        of_firms = [Administration.objects.in_organisation(firm.organisation_id) for firm in firms]
        failed = [administrations.earliest("pk").pk for administrations in of_firms]
        Administration.objects.filter(pk__in=failed).update(status=Status.FAILED)
    outcome = CliRunner().invoke(sync_commands, ["retry", "--all-organisations", "--json"])
    assert outcome.exit_code == 0, outcome.output
    rows = json.loads(outcome.stdout.splitlines()[-1])
    assert {row["id"]: row["created"] for row in rows} == dict.fromkeys(failed, True)
    with installation_scope("test"):
        assert dict(Run.objects.values_list("administration_id", "state")) == dict.fromkeys(failed, "queued")
        entries = AuditEntry.objects.filter(action="administration.sync_requested")
        organisations = set(entries.values_list("organisation_id", flat=True))
    assert organisations == {firm.organisation_id for firm in firms}
