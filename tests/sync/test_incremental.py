"""Incremental syncs: their cost, what they find, and what a full read proves."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pydantic import ValidationError

from koppel.connector.contract import Page, Session
from koppel.connectors.visma_net.connector import VismaNet
from koppel.issues.models import Issue
from koppel.kit.clock import clock_set_to
from koppel.kit.tenancy import organisation_scope
from koppel.sync.engine import run_completion
from koppel.sync.engine.read_rules import weekly_full_read_is_due
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.errors import SyncNotAllowed
from koppel.sync.inputs import SyncInput
from koppel.sync.models import Change, Checkpoint, Run
from koppel.sync.runs.claims import ClaimedRun
from koppel.sync.runs.services import cancel_run, request_run
from tests.sync.factories import Synced

SUNDAY = 6


def test_nothing_changed_costs_one_request_for_each_endpoint(synced: Synced) -> None:
    synced.sync()
    synced.sandbox.forget_calls()
    synced.sync()
    paths = [one["path"].partition("/api")[2] for one in synced.sandbox.calls("/v")]
    assert len(paths) == len(set(paths)), "no endpoint is asked twice"
    assert synced.part(synced.sync(), "accounts").mode == "compared"


def test_an_edited_entry_comes_by_its_stamp_and_nothing_else_is_written(synced: Synced) -> None:
    synced.sync()
    number = synced.rows("entries")[3].number  # type: ignore[attr-defined]
    synced.change(edit={number: "Corrected at the source"})
    before = synced.versions()
    run = synced.sync()
    part = synced.part(run, "entries")
    assert (part.mode, part.added, part.deleted) == ("modified_since", 0, 0)
    edited = synced.rows("entries", description="Corrected at the source")
    assert part.changed == len(edited) >= 1
    after = synced.versions()
    assert len(after["entries"] - before["entries"]) == len(edited)
    assert after["entry_lines"] == before["entry_lines"]


def test_a_read_of_changes_overlaps_the_last_one(synced: Synced) -> None:
    synced.sync()
    newest = max(call["query"].get("lastModifiedDateTime", "") for call in synced.sandbox.calls("/customer"))
    assert newest == ""
    synced.sandbox.forget_calls()
    synced.sync()
    (call,) = synced.sandbox.calls("/customer")
    assert call["query"]["lastModifiedDateTimeCondition"] == ">="
    since = datetime.fromisoformat(call["query"]["lastModifiedDateTime"])
    seen = max(
        row.raw.tobytes() if isinstance(row.raw, memoryview) else row.raw for row in synced.rows("contacts")
    )
    stamp = datetime.fromisoformat(seen.decode().partition('"lastModifiedDateTime":"')[2][:19])
    assert timedelta(minutes=69) < stamp - since < timedelta(minutes=72)


def test_a_deleted_entry_is_flagged_by_the_full_read_and_not_before(synced: Synced) -> None:
    synced.sync()
    gone = synced.rows("entries")[5]
    synced.change(delete=[gone.number])  # type: ignore[attr-defined]
    assert synced.part(synced.sync(), "entries").deleted == 0
    run = synced.sync(full=True)
    assert synced.part(run, "entries").deleted >= 1
    assert gone.external_id not in synced.keys("entries")
    assert synced.is_exact()


@pytest.mark.parametrize("later", [True, False])
def test_an_entry_that_moved_to_another_period_changed_and_was_not_deleted(
    synced: Synced, later: bool
) -> None:
    """Also when the next sync is a full read, whose old period no longer has it."""
    synced.sync()
    periods = sorted({one.period for one in synced.rows("entries")})  # type: ignore[attr-defined]
    old, new = (periods[0], periods[-1]) if later else (periods[-1], periods[0])
    moved = synced.rows("entries", period=old)[0]
    synced.change(move={moved.number: new})  # type: ignore[attr-defined]
    run = synced.sync(full=True)
    with organisation_scope(synced.actor.organisation_id):
        logged = Change.objects.filter(run_id=run.pk, resource__in=["entries", "entry_lines"])
        logged_keys = {one.external_id: one.kind for one in logged}
    assert moved.external_id in logged_keys
    assert set(logged_keys.values()) == {"changed"}
    assert synced.rows("entries", external_id=moved.external_id)[0].period == new  # type: ignore[attr-defined]
    assert synced.part(run, "entries").state == "done"
    assert synced.is_exact()


def test_a_full_read_that_broke_off_after_its_changes_were_read_is_still_made(synced: Synced) -> None:
    synced.sync()
    gone = synced.rows("entries")[5]
    synced.change(delete=[gone.number])  # type: ignore[attr-defined]
    synced.sandbox.fault("journaltransaction", kind="status", status=500, times=50, skip=1)
    run = synced.sync(full=True)
    assert run.state == "queued"
    assert synced.part(run, "entries").state == "running", "changes is read, the full read is to come"
    synced.sandbox.control("faults", method="DELETE")
    synced.perform(run.pk)
    assert gone.external_id not in synced.keys("entries")


def test_a_line_that_left_its_entry_is_gone_with_the_next_sync(synced: Synced) -> None:
    synced.sync()
    line = next(one for one in synced.rows("entry_lines") if one.line_number == 3)  # type: ignore[attr-defined]
    number = line.external_id.split()[1]
    synced.change(drop_lines={number: [3]})
    synced.sync()
    assert line.external_id not in synced.keys("entry_lines")
    assert synced.is_exact()


def test_a_full_read_that_breaks_off_deletes_nothing(synced: Synced) -> None:
    synced.sync()
    entries = synced.keys("entries")
    synced.sandbox.fault("journaltransaction", kind="status", status=500, times=50, skip=6)
    run = synced.sync(full=True)
    assert run.state == "queued"
    assert synced.keys("entries") == entries


def test_stamps_that_jump_on_a_whole_table_change_nothing(synced: Synced) -> None:
    """It happened after an upgrade in 2020: a read of changes becomes a full one."""
    synced.sync()
    before = synced.versions()
    synced.change(touch_all=True)
    part = synced.part(synced.sync(), "entries")
    assert part.rows == len(synced.keys("entries"))
    assert part.changed == 0
    assert synced.versions() == before


def test_each_change_keeps_what_was_and_what_is(synced: Synced) -> None:
    synced.sync()
    first, second = synced.rows("entries")[0], synced.rows("entries")[1]
    synced.change(edit={first.number: "Now this"}, delete=[])  # type: ignore[attr-defined]
    run = synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        changes_by_key = {
            change.external_id: change for change in Change.objects.filter(run_id=run.pk, resource="entries")
        }
    assert second.external_id not in changes_by_key
    change = changes_by_key[first.external_id]
    assert change.kind == "changed"
    assert b"Now this" not in bytes(change.before or b"")
    assert b"Now this" in bytes(change.after or b"")
    assert change.period == first.period  # type: ignore[attr-defined]


def test_a_change_in_a_closed_period_is_an_issue_for_a_month(synced: Synced) -> None:
    """The sandbox has closed last year: who filed accounts on it wants to know."""
    synced.sync()
    closed = next(period for period in synced.rows("periods") if period.closed).period  # type: ignore[attr-defined]
    entry = synced.rows("entries", period=closed)[0]
    synced.change(edit={entry.number: "Moved after the year was closed"})  # type: ignore[attr-defined]
    run = synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        assert Change.objects.filter(run_id=run.pk, in_closed_period=True, period=closed).exists()
        issues = Issue.objects.filter(code="closed_period_changed", resolved_at=None)
        assert {period.context["period"]: period.context["run"] for period in issues}[closed] == run.pk
        Change.objects.update(at=datetime.now(UTC) - timedelta(days=31))
    edit = dict.fromkeys(sorted(numbers_in_open_periods(synced))[-1:], "In an open one")
    synced.change(edit=edit)
    synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        assert not issues.all().exists()


def test_an_entry_that_left_a_closed_period_changed_it_and_its_lines_no_longer_do(synced: Synced) -> None:
    synced.sync()
    closed = {row.period for row in synced.rows("periods", closed=True)}  # type: ignore[attr-defined]
    newest = max(row.period for row in synced.rows("entries"))  # type: ignore[attr-defined]
    assert newest not in closed
    entry = next(row for row in synced.rows("entries") if row.period in closed)  # type: ignore[attr-defined]
    old, number = entry.period, entry.number  # type: ignore[attr-defined]
    synced.change(move={number: newest})
    moved = synced.sync()
    synced.change(drop_lines={number: [1]})
    dropped = synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        row = Change.objects.get(run_id=moved.pk, resource="entries", external_id=entry.external_id)
        lines = list(Change.objects.filter(run_id=dropped.pk, external_id=f"{entry.external_id} 1"))
    assert (row.period, row.in_closed_period) == (old, True)
    assert [(line.kind, line.period, line.in_closed_period) for line in lines] == [("deleted", newest, False)]


def test_an_entry_that_moved_between_closed_periods_changed_both(synced: Synced) -> None:
    synced.sync()
    closed = sorted(row.period for row in synced.rows("periods", closed=True))  # type: ignore[attr-defined]
    entry = next(row for row in synced.rows("entries") if row.period in closed)  # type: ignore[attr-defined]
    old, number = entry.period, entry.number  # type: ignore[attr-defined]
    other = next(period for period in closed if period != old)
    synced.change(move={number: other})
    run = synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        row = Change.objects.get(run_id=run.pk, resource="entries", external_id=entry.external_id)
        issues = Issue.objects.filter(code="closed_period_changed", resolved_at=None)
        named = {issue.context["period"]: issue.context["run"] for issue in issues}
    assert (row.period, row.left_period, row.in_closed_period) == (other, old, True)
    assert (named[old], named[other]) == (run.pk, run.pk)


def numbers_in_open_periods(synced: Synced) -> set[str]:
    """Of entries; none in a closed period has the same number.

    In the first days of January there may be none at all.
    """
    closed = {row.period for row in synced.rows("periods", closed=True)}  # type: ignore[attr-defined]
    where: dict[str, set[bool]] = {}
    for row in synced.rows("entries"):
        where.setdefault(row.number, set()).add(row.period in closed)  # type: ignore[attr-defined]
    return {number for number, states in where.items() if states == {False}}


def test_a_wider_window_brings_the_older_years_and_a_narrower_one_deletes_nothing(synced: Synced) -> None:
    synced.settings(fiscal_years_back=0)
    synced.sync()
    narrow = synced.keys("entries")
    synced.settings(fiscal_years_back=1)
    synced.sync()
    wide = synced.keys("entries")
    assert wide > narrow
    assert synced.is_exact()
    synced.settings(fiscal_years_back=0)
    synced.sync(full=True)
    assert synced.keys("entries") == wide, "leaving the window is no deletion"


@pytest.mark.parametrize(
    ("last", "at", "due"),
    [
        (None, "2026-03-04", True),
        ("2026-03-01T10:00", "2026-03-01T23:00", False),
        ("2026-03-01T10:00", "2026-03-07T22:00", False),
        ("2026-03-01T10:00", "2026-03-08T00:30", True),
        ("2026-03-04T10:00", "2026-03-08T10:00", True),
        ("2026-03-04T10:00", "2026-03-11T10:00", True),
        ("2026-03-08T02:00", "2026-03-11T10:00", False),
    ],
)
def test_the_full_read_comes_on_its_week_day_and_is_caught_up(last: str | None, at: str, due: bool) -> None:
    """1 and 8 March 2026 are Sundays."""
    moment = datetime.fromisoformat(last).replace(tzinfo=UTC) if last else None
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert weekly_full_read_is_due(moment, SUNDAY, now, timezone.get_default_timezone()) is due


def test_on_the_week_day_everything_is_compared(synced: Synced) -> None:
    synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        Checkpoint.objects.update(last_full_at=datetime.now(UTC) - timedelta(days=8))
    assert synced.part(synced.sync(), "entries").mode == "full"
    assert synced.part(synced.sync(), "entries").mode == "modified_since"


def test_a_stamp_from_the_future_hides_nothing(synced: Synced) -> None:
    with clock_set_to(datetime(2020, 1, 1, tzinfo=UTC)):
        from koppel.connectors.visma_net.stamps import newest_stamp
        from koppel.kit.clock import now

        stamps = ["2019-12-31T10:00:00", "2099-01-01T00:00:00", "2019-12-31T11:00:00"]
        assert newest_stamp(stamps, now()) == "2019-12-31T11:00:00"


@pytest.mark.parametrize("resource", ["entries", "balances"])
def test_one_stamp_from_the_future_keeps_no_other_from_being_remembered(resource: str) -> None:
    """It is in each answer from then on; the next read of changes must begin later all the same."""
    from koppel.connectors.visma_net import journal_data
    from koppel.connectors.visma_net.cursors import ChangesRead
    from koppel.kit.http.client import Response

    class Answering:
        base_urls = {"api": "http://vendor"}
        consent_mode = "service"
        company = None

        async def send(self, *_call: Any, **_more: Any) -> Response:
            stamps = ["2026-03-04T10:00:00", "2099-01-01T00:00:00"]
            rows = [
                {
                    "module": "GL",
                    "batchNumber": str(number),
                    "account": {"number": "1"},
                    "subaccountId": str(number),
                    "financialPeriod": "202603",
                    "lastModifiedDateTime": stamp,
                }
                for number, stamp in enumerate(stamps)
            ]
            return Response(
                status=200, headers={"content-type": "application/json"}, body=json.dumps(rows).encode()
            )

    at = ChangesRead(
        since="2026-03-04T07:50:00", newest="2026-03-04T09:00:00", resume_from="2026-03-04T09:00:00"
    )
    with clock_set_to(datetime(2026, 3, 4, 15, tzinfo=UTC)):
        page = asyncio.run(journal_data.read(Answering(), resource, at))  # type: ignore[arg-type]
    assert len(page.records) == 2
    assert '"newest":"2026-03-04T10:00:00"' in str(page.incremental_cursor)


@pytest.mark.parametrize(
    ("floor", "newest"), [("", "2026-03-04T09:00:00"), ("2026-03-04T11:30:00", "2026-03-04T11:30:00")]
)
def test_a_long_read_is_followed_from_where_it_began(floor: str, newest: str) -> None:
    """Who edits a row that was passed already, while the rest is read for three hours, is met by the next
    read of changes.
    """
    with clock_set_to(datetime(2026, 3, 4, 15, tzinfo=UTC)):
        from koppel.connectors.visma_net.cursors import ChangesRead, incremental_cursor
        from koppel.kit.clock import now

        at = ChangesRead(newest="2026-03-04T12:00:00", began="2026-03-04T12:00:00+00:00", resume_from=floor)
        assert f'"newest":"{newest}"' in incremental_cursor(at, now())


def test_a_full_read_that_is_asked_for_begins_anew(synced: Synced) -> None:
    """Even when the run before it left a read of changes half done, and what was deleted meanwhile is
    flagged.
    """
    synced.sync()
    synced.paging(page_size_max=3)
    gone = synced.rows("entries")[2].number  # type: ignore[attr-defined]
    synced.change(touch_all=True)
    synced.sandbox.fault("journaltransaction", kind="status", status=500, times=1, skip=2)
    halted = synced.sync()
    assert synced.part(halted, "entries").state == "running"
    synced.cancel()
    synced.change(delete=[gone])
    run = synced.sync(full=True)
    assert (run.state, synced.part(run, "entries").mode) == ("succeeded", "full")
    assert synced.is_exact()


def test_single_resources_are_synced_after_a_complete_sync(synced: Synced) -> None:
    refused = pytest.raises(SyncNotAllowed, match="The first sync reads all data")
    with organisation_scope(synced.actor.organisation_id), refused:
        request_run(synced.actor, synced.administration_id, SyncInput(resources=["accounts"]))
    synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        before = synced.administration.complete_as_of
    with organisation_scope(synced.actor.organisation_id):
        with pytest.raises(ValidationError, match="invoices"):
            SyncInput(resources=["accounts", "invoices"])
        request_run(synced.actor, synced.administration_id, SyncInput(resources=["accounts"]))
        run = Run.objects.latest("pk")
    assert set(synced.run_resources(synced.perform(run.pk))) == {"accounts"}
    with organisation_scope(synced.actor.organisation_id):
        assert synced.administration.complete_as_of == before, "no newer than the oldest of its parts"
    synced.settings(resources=["company_details", "accounts"])
    with (
        organisation_scope(synced.actor.organisation_id),
        pytest.raises(SyncNotAllowed, match="Not synced here: contacts"),
    ):
        request_run(synced.actor, synced.administration_id, SyncInput(resources=["accounts", "contacts"]))


def test_disabled_resources_do_not_affect_completeness(synced: Synced) -> None:
    synced.sync()
    synced.settings(resources=["company_details", "accounts"])
    synced.sync()
    with organisation_scope(synced.actor.organisation_id):
        assert synced.administration.complete_as_of == synced.checkpoint("company_details").complete_as_of


def test_a_run_taken_over_at_its_end_changes_nothing(synced: Synced, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker slept between the last page and the end; meanwhile somebody stopped the import."""
    decide = run_completion.succeed

    def late(held: ClaimedRun, plan: SyncPlan, committed_pages: int) -> bool:
        with organisation_scope(synced.actor.organisation_id):
            cancel_run(synced.actor, synced.administration_id)
        return decide(held, plan, committed_pages)

    monkeypatch.setattr(run_completion, "succeed", late)
    assert synced.sync().state == "cancelled"
    assert synced.administration_status() == "failed"


def test_a_refused_list_is_reported_and_the_others_are_read(synced: Synced) -> None:
    """The first part of the list was as known, and waits for others to be committed with: it does not undo
    the refusal.
    """
    synced.sync()
    synced.sandbox.fault("supplier", status=403)
    run = synced.sync()
    assert run.state == "succeeded"
    part, checkpoint = synced.part(run, "contacts"), synced.checkpoint("contacts")
    assert (part.state, bool(part.reason)) == ("skipped", True)
    assert (checkpoint.available, checkpoint.resume_cursor, bool(checkpoint.unavailable_reason)) == (
        False,
        "",
        True,
    )
    assert synced.part(synced.sync(), "contacts").state == "done"
    assert synced.checkpoint("contacts").available


def test_a_reported_deletion_includes_the_lines_and_is_logged_once(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Visma.net tells of none; other accounting systems do, and tell the same one again within their
    overlap.
    """
    synced.sync()
    entry = synced.rows("entries")[2].external_id
    lines = synced.rows("entry_lines", entry=entry)
    read = VismaNet.read_page

    async def deleting(self: VismaNet, session: Session, resource: str, *how: Any) -> Page:
        page = await read(self, session, resource, *how)
        return replace(page, tombstones=[entry, "GL never-seen"]) if resource == "entries" else page

    monkeypatch.setattr(VismaNet, "read_page", deleting)
    # The totals differ then, and a full check would read the entry that the sandbox still has.
    monkeypatch.setattr(run_completion, "request_full_read", lambda *_ids: False)
    assert synced.part(synced.sync(), "entries").deleted == 1
    assert synced.part(synced.sync(), "entries").deleted == 0
    assert not synced.rows("entries", external_id=entry)
    assert not synced.rows("entry_lines", entry=entry)
    with organisation_scope(synced.actor.organisation_id):
        logged = [line.external_id for line in Change.objects.filter(kind="deleted")]
    assert sorted(logged) == sorted([entry, *(line.external_id for line in lines)])
