"""State carried from one attempt of a run to the next, and pages that share a commit."""

from dataclasses import replace
from typing import Any

import pytest

from koppel.connector.contract import Page, ReadMode, Session
from koppel.connectors.visma_net.connector import VismaNet
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.sentences import render_sentence
from koppel.sync.engine import run_start
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.inputs import SyncInput
from koppel.sync.models import Change, Run
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.services import request_run
from tests.sync.factories import Synced

JOURNAL = "journaltransaction"


def clear_faults(synced: Synced) -> None:
    synced.sandbox.control("faults", method="DELETE")


def test_unreadable_resources_of_an_earlier_attempt_are_remembered(synced: Synced) -> None:
    """The accounts broke the contract, then the journal was down: whoever goes on with the journal has not
    seen the first.
    """
    synced.sandbox.fault("/v1/account$", status=404)
    synced.sandbox.fault(JOURNAL, status=500, times=50)
    run = synced.sync()
    assert (run.state, synced.part(run, "accounts").state) == ("queued", "failed")
    clear_faults(synced)
    run = synced.perform(run.pk)
    assert (run.state, run.reason_code) == ("partial", "unexpected_response")
    assert render_sentence(run.reason).startswith("Accounts: ")
    assert synced.administration_status() == "failed"
    assert synced.sync().state == "succeeded"
    assert synced.administration_status() == "active"


def test_a_read_whose_cursor_is_gone_starts_again(synced: Synced) -> None:
    """A dimension was deleted between the list and its values: asking for it again would be refused for
    ever.
    """
    gone = {"path": "/v1/dimension/", "status": 404}
    synced.sandbox.fault(**gone)
    synced.sandbox.fault("/v1/dimension$", kind="replace", old="[]", body='["SUBACCOUNT"]')
    run = synced.sync()
    assert (run.state, synced.part(run, "cost_codes").state) == ("partial", "failed")
    synced.sandbox.fault(**gone, times=50)
    synced.sandbox.fault("/v1/dimension$", kind="replace", old='["SUBACCOUNT"]', body="[]", times=50)
    assert synced.sync().state == "succeeded"


def test_a_wider_window_that_was_refused_half_way_is_read_when_it_is_allowed(synced: Synced) -> None:
    synced.settings(fiscal_years_back=0)
    synced.sync()
    synced.settings(fiscal_years_back=1)
    synced.sandbox.fault(JOURNAL, status=403, skip=3)
    assert synced.part(synced.sync(), "entries").state == "skipped"
    assert not synced.is_exact()
    synced.sync()
    assert synced.is_exact()


def test_an_import_that_is_stopped_in_the_moment_a_worker_takes_it_is_stopped(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = run_start.start_run

    def late(held: ClaimedRun) -> SyncPlan:
        synced.cancel()
        return begin(held)

    monkeypatch.setattr(run_start, "start_run", late)
    assert synced.sync().state == "cancelled"
    assert synced.administration_status() == "failed"


def test_a_single_resource_that_is_refused_blocks_no_administration(synced: Synced) -> None:
    synced.sync()
    synced.sandbox.fault("generalLedgerBalance", status=403)
    with organisation_scope(synced.actor.organisation_id):
        request_run(synced.actor, synced.administration_id, SyncInput(resources=["balances"]))
        run = Run.objects.latest("pk")
    run = synced.perform(run.pk)
    assert (run.state, synced.part(run, "balances").state) == ("succeeded", "skipped")
    assert synced.administration_status() == "active"


@pytest.mark.parametrize("failures", [2, 4])
def test_a_page_that_came_through_makes_up_for_what_failed_before_a_crash(
    synced: Synced, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    read = VismaNet.read_page

    async def crashing(self: VismaNet, session: Session, resource: str, *how: Any) -> Page:
        if resource == "entries":
            raise RuntimeError("the database is restarting")
        return await read(self, session, resource, *how)

    synced.sandbox.fault("/v1/account$", status=500)
    run = synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        Run.objects.filter(pk=run.pk).update(failures=failures)
    with monkeypatch.context() as patch:
        patch.setattr(VismaNet, "read_page", crashing)
        run = synced.perform(run.pk)
    assert (run.state, run.failures, run.crashes) == ("queued", 0, 1)
    assert synced.perform(run.pk).state == "succeeded"


@pytest.mark.parametrize("same", [False, True])
def test_changes_and_full_read_in_one_commit_are_logged_once_each(synced: Synced, same: bool) -> None:
    """The full read's first page is committed together with what changed: of one resource, and perhaps of
    one entry.
    """
    synced.sync()
    first = min(first_entry.period for first_entry in synced.rows("entries"))  # type: ignore[attr-defined]
    first_entry, other = synced.rows("entries", period=first)[:2]
    changed = first_entry if same else other
    synced.change(edit={first_entry.number: "Corrected at the source"})  # type: ignore[attr-defined]
    old = "Corrected at the source" if same else changed.description  # type: ignore[attr-defined]
    synced.sandbox.fault(
        JOURNAL, kind="replace", old=f'"description":"{old}"', body='"description":"Without a stamp"', skip=1
    )
    run = synced.sync(full=True)
    assert run.state == "succeeded", run.reason
    with organisation_scope(synced.actor.organisation_id):
        logged = list(Change.objects.filter(run_id=run.pk, resource="entries").order_by("pk"))
    part = synced.part(run, "entries")
    assert len(logged) == part.changed
    assert all(bytes(change.before or b"") != bytes(change.after or b"") for change in logged)
    assert synced.sync(full=True).state == "succeeded", "the connection still stages"


def test_a_deletion_without_other_changes_is_noticed(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changed, one entry is gone: an answer without records is not one without news."""
    synced.sync()
    gone = synced.rows("entries")[2].external_id
    read = VismaNet.read_page

    async def deleting_alone(
        self: VismaNet, session: Session, resource: str, mode: ReadMode, *how: Any
    ) -> Page:
        page = await read(self, session, resource, mode, *how)
        return replace(page, records=[], tombstones=[gone]) if resource == "entries" else page

    monkeypatch.setattr(VismaNet, "read_page", deleting_alone)
    assert synced.part(synced.sync(), "entries").deleted == 1
    assert gone not in synced.keys("entries")
