"""Bulk actions: previewed, started once, processed in chunks by any worker, undoable for a day."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from koppel.administrations.bulk import operations, queries
from koppel.administrations.bulk.execution import CHUNK_ITEMS, process_chunk
from koppel.administrations.bulk.operations import INLINE_ITEMS_MAX, Selection
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.models import Administration, Assignment, BulkItem, BulkOperation, Favourite
from koppel.administrations.tasks import process_bulk
from koppel.administrations.views import bulk as bulk_views
from koppel.audit.models import AuditEntry, Interface
from koppel.connections.models import Connection
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.models import Division, Membership, Organisation
from koppel.organisations.roles import Actor, Role
from koppel.sync.models import Run
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_list import browser_of
from tests.books.factories import administration_of


@pytest.fixture
def firm(actor: Any) -> Firm:
    return create_firm(actor("administrator"), 24)


def colleague(actor: Any, admin: Actor, role: str, name: str = "Piet Jansen") -> Actor:
    with organisation_scope(admin.organisation_id):
        organisation = Organisation.objects.get(pk=admin.organisation_id)
    return actor(role, organisation=organisation, name=name)  # type: ignore[no-any-return]


def results(admin: Actor, operation: BulkOperation) -> dict[int, tuple[str, str]]:
    with organisation_scope(admin.organisation_id):
        items = BulkItem.objects.filter(operation=operation)
        return {item.administration_id: (item.state, item.reason_code) for item in items}


def test_preview_and_results_list_changes_and_skipped_administrations_with_reasons(
    firm: Firm, actor: Any
) -> None:
    admin, anna = firm.admin, colleague(actor, firm.admin, "user", "Anna Smit")
    browser = browser_of(admin)
    with organisation_scope(admin.organisation_id):
        already = list(
            Administration.objects.filter(division_id=firm.divisions[0]).values_list("pk", flat=True)
        )
    form = {
        "action": "change",
        "change-division": firm.divisions[0],
        "id": [*firm.ids, 10**9],
        "query": "sort=number",
    }
    draft = browser.post("/administrations/bulk/preview", form).headers["Location"]
    page = browser.get(draft).content.decode()
    assert f"{24 - len(already)} administrations will change" in page
    assert f"{len(already) + 1} will not change" in page
    assert "Already set." in page
    assert "Not found, or you have no access." in page
    assert "Division: Zuid → Noord" in page
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.filter(division_id=firm.divisions[0]).count() == len(already), (
            "only previewed"
        )
        assert AuditEntry.objects.filter(action="administrations.assigned").count() == 0
    answer = browser.post(f"{draft}start")
    assert answer.headers["Location"] == "/administrations/?sort=number"
    assert f'action="{draft}undo"' in browser.get(answer.headers["Location"]).content.decode()
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.filter(division_id=firm.divisions[0]).count() == 24
        entry = AuditEntry.objects.get(action="administrations.assigned")
        assert len(entry.details["administrations"]) == 24 - len(already)
    browser.post(f"{draft}start")
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.filter(action="administrations.assigned").count() == 1, (
            "a second click starts nothing"
        )
    assert browser_of(anna).get(draft).status_code == 404


def test_skipped_administrations_come_first_in_the_results(firm: Firm, monkeypatch: Any) -> None:
    monkeypatch.setattr(bulk_views, "PAGE_SIZE", 2)
    client = browser_of(firm.admin)
    form = {"action": "change", "all": "1", "query": "all=1", "change-division": str(firm.divisions[0])}
    address = client.post("/administrations/bulk/preview", form).headers["Location"]
    states: list[str] = []
    for number in range(1, 100):
        answer = client.get(f"{address}?page={number}")
        states += [each["state"] for each in answer.context["items"]]
        if not answer.context["page"].has_next():
            break
    assert len(states) == answer.context["counts"].total > 4
    assert states == sorted(states), "skipped before waiting"
    assert set(states) == {"skipped", "waiting"}
    assert client.get(f"{address}?page=9999").context["page"].number == answer.context["page"].number
    assert client.get(f"{address}?page=rubbish&only=rubbish").status_code == 422


def test_undo_reverts_only_values_that_were_not_changed_since(firm: Firm, actor: Any) -> None:
    admin = firm.admin
    anna, bert = (colleague(actor, admin, "user", name).membership_id for name in ("Anna", "Bert"))
    first, second, third = firm.ids[1:4]
    with organisation_scope(admin.organisation_id):
        before = dict(Administration.objects.values_list("pk", "division_id"))
        Assignment.objects.create(
            organisation_id=admin.organisation_id, administration_id=first, membership_id=bert
        )
        params = {"division": None, "add": [anna, admin.membership_id], "remove": [bert], "sector": "Q"}
        draft = operations.preview(admin, "change", params, Selection(ids=firm.ids))
        operations.start_operation(admin, draft.pk)
        assert Administration.objects.filter(division=None, sector="Q").count() == 24
        chosen = Assignment.objects.filter(membership_id=admin.membership_id, automatic=False)
        assert chosen.count() == 24, "who was on it by default is there by choice now"
        Administration.objects.filter(pk=second).update(division_id=firm.divisions[3])
        Assignment.objects.filter(administration_id=third, membership_id=anna).delete()
        assert operations.undo(admin, draft.pk)
        assert not operations.undo(admin, draft.pk), "once"
        now = dict(Administration.objects.values_list("pk", "division_id"))
        assert {key for key in now if now[key] != before[key]} == {second}
        assert not Administration.objects.filter(pk=first, sector="Q").exists()
        assert not chosen.exists()
        assert set(
            Assignment.objects.filter(administration_id=first).values_list("membership_id", flat=True)
        ) == {
            admin.membership_id,
            bert,
        }
    states = results(admin, draft)
    assert states[second] == states[third] == ("kept", "changed_since")
    assert states[first] == ("undone", "")
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.get(action="administrations.undone").details["administrations"]


def test_undo_is_refused_after_a_day_and_for_other_actions(firm: Firm) -> None:
    admin = firm.admin
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(admin, "change", {"sector": "A"}, Selection(ids=firm.ids))
        operations.start_operation(admin, draft.pk)
        BulkOperation.objects.update(finished_at=timezone.now() - timedelta(hours=25))
        with pytest.raises(Refused):
            operations.undo(admin, draft.pk)
        draft = operations.preview(admin, "add_favourite", {}, Selection(ids=firm.ids))
        operations.start_operation(admin, draft.pk)
        with pytest.raises(Refused):
            operations.undo(admin, draft.pk)


def test_deactivating_records_reason_and_day_and_stops_runs(firm: Firm) -> None:
    admin = firm.admin
    browser = browser_of(admin)
    active, failed, queued, stopped = (
        next(key for key, state in states_of(admin).items() if state == status)
        for status in ("active", "failed", "queued", "deactivated")
    )
    with organisation_scope(admin.organisation_id):
        Run.objects.create(organisation_id=admin.organisation_id, administration_id=active, trigger="manual")
    tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()
    ids = [active, queued, stopped]
    draft = browser.post(
        "/administrations/bulk/preview",
        {"action": "deactivate", "deactivate-reason": "Dossier dicht", "id": ids},
    )
    browser.post(f"{draft.headers['Location']}start")
    form = {"action": "deactivate", "deactivate-on": tomorrow, "id": [failed]}
    browser.post(browser.post("/administrations/bulk/preview", form).headers["Location"] + "start")
    with organisation_scope(admin.organisation_id):
        administration = Administration.objects.get(pk=active)
        assert (administration.status, administration.deactivation_reason) == ("deactivated", "Dossier dicht")
        assert Run.objects.get().state == "cancelled"
        assert Administration.objects.get(pk=queued).status == "queued"
        later = Administration.objects.get(pk=failed)
        assert (later.status, str(later.scheduled_deactivation_on)) == ("failed", tomorrow)
        operation = BulkOperation.objects.order_by("pk")[0]
    assert set(results(admin, operation).values()) == {
        ("changed", ""),
        ("skipped", "being_imported"),
        ("skipped", "unchanged"),
    }
    draft = browser.post("/administrations/bulk/preview", {"action": "activate", "id": [active, failed]})
    browser.post(f"{draft.headers['Location']}start")
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.get(pk=active).status == "active"
        assert Administration.objects.get(pk=failed).scheduled_deactivation_on is None


def test_activating_an_unread_administration_queues_its_first_sync(firm: Firm) -> None:
    admin = firm.admin
    with organisation_scope(admin.organisation_id):
        Administration.objects.filter(pk=firm.ids[0]).update(status="deactivated", activated_at=None)
        draft = operations.preview(admin, "activate", {}, Selection(ids=[firm.ids[0]]))
        operations.start_operation(admin, draft.pk)
        assert Administration.objects.get(pk=firm.ids[0]).status == "queued"
        assert Run.objects.get(administration_id=firm.ids[0]).trigger == "import"


def test_bulk_sync_skips_administrations_that_cannot_be_synced(firm: Firm) -> None:
    admin = firm.admin
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(admin, "sync", {}, Selection(ids=firm.ids))
        operations.start_operation(admin, draft.pk)
        repeated = operations.preview(admin, "sync", {}, Selection(ids=firm.ids))
    states = states_of(admin)
    for key, result in results(admin, draft).items():
        assert result == (("skipped", "deactivated") if states[key] == "deactivated" else ("changed", ""))
    assert set(results(admin, repeated).values()) == {
        ("skipped", "deactivated"),
        ("skipped", "sync_in_progress"),
    }
    with organisation_scope(admin.organisation_id):
        assert Run.objects.count() == sum(
            state == "changed" for state, _why in results(admin, draft).values()
        )


def test_bulk_sync_starts_from_the_list_and_its_rows_are_refreshed(firm: Firm) -> None:
    browser, ids = browser_of(firm.admin), firm.ids
    page = browser.post(
        "/administrations/bulk/preview", {"action": "sync", "id": ids}, follow=True
    ).content.decode()
    with organisation_scope(firm.admin.organisation_id):
        count = Run.objects.count()
    assert f"Sync of {count} administrations started." in page
    assert f"{len(ids) - count} unchanged. " in page
    assert "were changed" not in page
    assert 'hx-trigger="every 2s"' in page


def test_favourites_belong_to_the_person_and_need_no_preview(firm: Firm, actor: Any) -> None:
    admin = firm.admin
    reader = colleague(actor, admin, "reader")
    with organisation_scope(admin.organisation_id):
        assignments = [
            Assignment(
                organisation_id=admin.organisation_id,
                administration_id=administration_id,
                membership_id=reader.membership_id,
            )
            for administration_id in firm.ids[:5]
        ]
        Assignment.objects.bulk_create(assignments)
    browser_of(reader).post(
        "/administrations/bulk/preview", {"action": "add_favourite", "all": "1", "query": ""}
    )
    with organisation_scope(admin.organisation_id):
        favourites = Favourite.objects.values_list("administration_id", "membership_id")
        assert sorted(favourites) == [
            (administration_id, reader.membership_id) for administration_id in sorted(firm.ids[:5])
        ]
    answer = browser_of(reader).post("/administrations/bulk/preview", {"action": "deactivate", "all": "1"})
    assert answer.status_code == 403


def test_losing_the_role_stops_the_bulk_job(firm: Firm, actor: Any) -> None:
    admin = firm.admin
    leader = colleague(actor, admin, "team_leader")
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(leader, "change", {"division": firm.divisions[0]}, Selection(ids=firm.ids))
        Membership.objects.filter(pk=leader.membership_id).update(role="reader")
        operations.start_operation(leader, draft.pk)
    assert set(results(admin, draft).values()) == {("skipped", "unchanged"), ("skipped", "not_allowed")}


def test_bulk_actions_cannot_reach_administrations_of_others(firm: Firm, actor: Any) -> None:
    admin, stranger = firm.admin, actor("administrator")
    user = colleague(actor, admin, "user")
    with organisation_scope(stranger.organisation_id):
        draft = operations.preview(stranger, "change", {"sector": "A"}, Selection(ids=firm.ids))
    assert set(results(stranger, draft).values()) == {("skipped", "not_found")}
    with organisation_scope(admin.organisation_id):
        with pytest.raises(NotAllowed):
            operations.preview(user, "change", {"division": firm.divisions[0]}, Selection(ids=firm.ids))
        draft = operations.preview(user, "change", {"sector": "A"}, Selection(ids=firm.ids))
    assert set(results(admin, draft).values()) == {("skipped", "not_found")}, (
        "nothing is assigned to this user"
    )


def test_a_limited_token_starts_and_discards_nothing_that_it_could_not_preview(firm: Firm) -> None:
    admin = firm.admin
    by_token = replace(admin, role=Role.READER, interface=Interface.API)
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(admin, "deactivate", {"reason": "left"}, Selection(ids=firm.ids[:1]))
        for operation_call in (operations.start_operation, operations.discard):
            with pytest.raises(NotAllowed):
                operation_call(by_token, draft.pk)
        draft.refresh_from_db()
        assert draft.state == "draft"
        leader = replace(admin, role=Role.TEAM_LEADER, interface=Interface.API)
        other = operations.preview(admin, "change", {"sector": "A"}, Selection(ids=firm.ids[:1]))
        assert operations.start_operation(leader, other.pk)
        other.refresh_from_db()
        assert (other.role, other.interface) == (Role.TEAM_LEADER, Interface.API)


def test_all_matching_become_a_job_that_two_workers_process_once(actor: Any) -> None:
    firm = create_firm(actor("administrator"), CHUNK_ITEMS * 2 + 150)
    admin = firm.admin
    browser = browser_of(admin)
    form = {
        "action": "change",
        "change-add": [admin.membership_id],
        "change-sector": "S",
        "all": "1",
        "query": "",
    }
    draft = browser.post("/administrations/bulk/preview", form).headers["Location"]
    assert browser.post(f"{draft}start").headers["Location"] == draft
    assert 'hx-trigger="every 1s"' in browser.get(draft).content.decode()
    operation_id = int(draft.strip("/").split("/")[-1])
    workers = [
        threading.Thread(target=run_bulk_worker, args=(admin.organisation_id, operation_id)) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    run_bulk_worker(admin.organisation_id, operation_id)
    page = browser.get(draft).content.decode()
    assert "hx-trigger" not in page.split('id="bulk-state"')[1].split(">")[0]
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.exclude(sector="S").count() == 0
        changed = [
            administration_id
            for entry in AuditEntry.objects.filter(action="administrations.assigned")
            for administration_id in entry.details["administrations"]
        ]
        assert sorted(changed) == sorted(set(changed)) == sorted(firm.ids)
        assert len(firm.ids) > INLINE_ITEMS_MAX


def run_bulk_worker(organisation_id: int, operation_id: int) -> None:
    try:
        process_bulk(organisation_id, operation_id)
    finally:
        connections.close_all()


def states_of(admin: Actor) -> dict[int, str]:
    with organisation_scope(admin.organisation_id):
        return dict(Administration.objects.values_list("pk", "status"))


def test_all_matching_uses_the_filter_instead_of_the_selection(firm: Firm) -> None:
    admin = firm.admin
    with organisation_scope(admin.organisation_id):
        selection = Selection(query=parse_query_string("status=failed"))
        draft = operations.preview(admin, "change", {"sector": "A"}, selection)
    failed = {key for key, state in states_of(admin).items() if state == "failed"}
    assert set(results(admin, draft)) == failed != set()


def test_an_archived_division_gets_no_new_members(firm: Firm) -> None:
    """By a preview that waited, or by undoing what was done before."""
    admin, ids = firm.admin, [one for place, one in enumerate(firm.ids) if place % 5 == 1]
    old, new = firm.divisions[1], firm.divisions[0]
    with organisation_scope(admin.organisation_id):
        done = operations.preview(admin, "change", {"division": new}, Selection(ids=ids))
        operations.start_operation(admin, done.pk)
        waits = operations.preview(admin, "change", {"division": old, "sector": "Q"}, Selection(ids=ids))
        Division.objects.filter(pk=old).update(archived_at=timezone.now())
        operations.start_operation(admin, waits.pk)
        assert set(results(admin, waits).values()) == {("skipped", "archived")}
        operations.undo(admin, done.pk)
        assert set(results(admin, done).values()) == {("kept", "changed_since")}
        assert set(Administration.objects.filter(pk__in=ids).values_list("division_id", flat=True)) == {new}


def test_a_refused_undo_leaves_the_changes_in_place(firm: Firm, actor: Any) -> None:
    admin, anna = firm.admin, colleague(actor, firm.admin, "team_leader")
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(anna, "change", {"sector": "Q"}, Selection(ids=firm.ids))
        operations.start_operation(anna, draft.pk)
        changed = queries.count_items(draft).changed
        BulkOperation.objects.filter(pk=draft.pk).update(state="undoing")
        Membership.objects.filter(pk=anna.membership_id).update(role="reader")
    process_bulk(admin.organisation_id, draft.pk)
    kept = [result for result in results(admin, draft).values() if result == ("kept", "not_allowed")]
    assert len(kept) == changed > 0


def test_an_administration_activated_without_connection_waits_for_one(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, status="deactivated", activated_at=timezone.now())
    with organisation_scope(admin.organisation_id):
        Connection.objects.update(state="removed")
        draft = operations.preview(admin, "activate", {}, Selection(ids=[administration.pk]))
        operations.start_operation(admin, draft.pk)
        administration.refresh_from_db()
    assert (administration.status, administration.status_code) == ("blocked", "connection_removed")
    assert "The connection was removed" in administration.status_reason


def test_an_operation_started_in_another_tab_is_kept(firm: Firm, monkeypatch: Any) -> None:
    admin, original = firm.admin, operations.get_operation
    with organisation_scope(admin.organisation_id):
        draft = operations.preview(admin, "change", {"sector": "Q"}, Selection(ids=firm.ids))

        def started_meanwhile(actor: Actor, operation_id: int) -> BulkOperation:
            monkeypatch.setattr(operations, "get_operation", original)
            seen = original(actor, operation_id)
            operations.start_operation(actor, operation_id)
            return seen

        monkeypatch.setattr(operations, "get_operation", started_meanwhile)
        operations.discard(admin, draft.pk)
        assert operations.get_operation(admin, draft.pk).state == "done"
    assert len(results(admin, draft)) == len(firm.ids)


def test_a_draft_is_held_to_the_permissions_of_now(firm: Firm, actor: Any) -> None:
    """Assigning needs what it needs directly, also at the start of an older draft, in the job and at undo."""
    piet = colleague(actor, firm.admin, "user_plus")
    params, selection = {"add": [piet.membership_id], "sector": "K"}, Selection(ids=firm.ids[:2])
    with organisation_scope(firm.admin.organisation_id):
        for administration_id in firm.ids[:2]:
            Assignment.objects.create(
                organisation_id=firm.admin.organisation_id,
                administration_id=administration_id,
                membership_id=piet.membership_id,
                automatic=True,
            )
        draft, queued, done = (operations.preview(piet, "change", params, selection) for _number in range(3))
        operations.start_operation(piet, done.pk)
        BulkOperation.objects.filter(pk=queued.pk).update(state="queued")
        Membership.objects.filter(pk=piet.membership_id).update(role=Role.USER)
        demoted = replace(piet, role=Role.USER)
        with pytest.raises(NotAllowed):
            operations.start_operation(demoted, draft.pk)
        with pytest.raises(NotAllowed):
            operations.undo(demoted, done.pk)
        process_chunk(firm.admin.organisation_id, queued.pk)
    states = {state for state, _reason in results(firm.admin, queued).values()}
    assert states == {"skipped"}
