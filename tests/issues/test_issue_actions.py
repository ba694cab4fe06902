"""Issues are assigned, snoozed, dismissed, commented on and undone: on pages, over REST, by commands."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from typer.testing import CliRunner

from koppel.administrations.issues.commands import app
from koppel.administrations.models import Administration, Assignment
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import Connection
from koppel.issues.models import Issue, IssueComment
from koppel.issues.services import raise_issue, reconcile_issues
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.sources.issue_digest import notify_new_issues
from koppel.organisations.models import Organisation, User
from koppel.organisations.people.hooks import ownership_providers
from koppel.organisations.roles import Actor
from koppel.sync.issue_types import SyncIssue
from tests.books.factories import administration_of, assign
from tests.fixtures.people import signed_in

CLOSED = {"period": "202411", "count": 3, "run": 7}


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def bakery(admin: Actor) -> Administration:
    return administration_of(admin)


def colleague(actor: Any, admin: Actor, role: str, name: str) -> Actor:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get(pk=admin.organisation_id)
    return actor(role, organisation=firm, name=name)  # type: ignore[no-any-return]


def raise_test_issue(
    administration: Administration, code: SyncIssue = SyncIssue.CLOSED_PERIOD_CHANGED, **context: Any
) -> int:
    organisation_id = administration.organisation_id
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
    with organisation_scope(organisation_id):
        raise_issue(organisation_id, code, subject, context or CLOSED, detail_key="202411")
        return Issue.objects.get(code=code, subject_id=administration.pk, resolved_at=None).pk


def run_check(administration: Administration, **context: Any) -> None:
    """Report the closed period again, as the checks after a sync do."""
    with organisation_scope(administration.organisation_id):
        reconcile_issues(
            administration.organisation_id,
            Subject(SubjectKind.ADMINISTRATION, administration.pk),
            {SyncIssue.CLOSED_PERIOD_CHANGED: {"202411": {**CLOSED, **context}}},
        )


def run_issue_action(browser: Client, action: str, ids: Sequence[int], **values: Any) -> tuple[str, str]:
    """The text of the next page, and where its Undo posts to."""
    browser.post("/issues/actions", {"action": action, "id": ids, **values})
    page = browser.get("/issues/").content.decode()
    _before, _form, after = page.partition('action="/issues/operations/')
    return page, f"/issues/operations/{after.partition('/')[0]}/undo" if after else ""


def test_a_noted_fact_is_dismissed_until_it_changes_and_the_toast_undoes_it(
    admin: Actor, bakery: Administration
) -> None:
    fact, failure = raise_test_issue(bakery), raise_test_issue(bakery, SyncIssue.SYNC_FAILED, reason="x")
    browser = signed_in(admin)
    page, undo = run_issue_action(browser, "dismiss", [fact, failure])
    assert "1 issue dismissed." in page
    assert "1 issue unchanged. Disappears only when its cause is gone." in page
    assert 'data-issue="closed_period_changed"' not in page
    assert 'data-issue="sync_failed"' in page
    assert "closed_period_changed" not in browser.get(f"/administrations/{bakery.pk}/").content.decode()
    assert browser.get(f"/api/v1/administrations/{bakery.pk}").json()["issues"] == 1
    assert [one["id"] for one in browser.get("/api/v1/issues?state=dismissed").json()] == [fact]

    run_check(bakery, count=2)
    assert [one["id"] for one in browser.get("/api/v1/issues?state=dismissed").json()] == [fact]
    run_check(bakery, count=4, run=8)
    assert browser.get("/api/v1/issues?state=dismissed").json() == []

    assert browser.post(undo).status_code == 302
    page, undo = run_issue_action(browser, "dismiss", [fact])
    browser.post(undo)
    assert 'data-issue="closed_period_changed"' in browser.get("/issues/").content.decode()
    browser.post(undo)
    assert "This can no longer be undone." in browser.get("/issues/").content.decode()
    history = browser.get(f"/administrations/{bakery.pk}/history/").content.decode()
    assert "dismissed an issue" in history
    assert "Changed closed periods" in history


def test_a_snoozed_issue_returns_on_its_day_and_is_notified_then(
    admin: Actor, bakery: Administration
) -> None:
    issue_id = raise_test_issue(bakery, SyncIssue.SYNC_FAILED, reason="x")
    with organisation_scope(admin.organisation_id):
        Issue.objects.update(raised_at=timezone.now() - timedelta(days=3), notified_at=timezone.now())
    browser, today = signed_in(admin), timezone.localdate()
    page, _undo = run_issue_action(browser, "snooze", [issue_id], until=today.isoformat())
    assert "Choose a date after today" in page
    page, _undo = run_issue_action(
        browser, "snooze", [issue_id], until=(today + timedelta(days=7)).isoformat()
    )
    assert "1 issue snoozed." in page
    assert "data-issue=" not in page
    assert "data-issue=" in browser.get("/issues/?state=snoozed").content.decode()
    with organisation_scope(admin.organisation_id):
        assert notify_new_issues(admin.organisation_id) == 0
        Issue.objects.update(snoozed_until=today)
        assert notify_new_issues(admin.organisation_id) == 1
    assert "data-issue=" in browser.get("/issues/").content.decode()


def test_an_issue_is_assigned_only_to_a_member_who_sees_it(
    admin: Actor, bakery: Administration, actor: Any
) -> None:
    anna, kees = (colleague(actor, admin, "user", name) for name in ("Anna", "Kees"))
    reader = colleague(actor, admin, "reader", "Rosa")
    for person in (anna, reader):
        assign(person, bakery)
    issue_id = raise_test_issue(bakery)
    browser = signed_in(admin)
    assert (
        "no access to the administration"
        in run_issue_action(browser, "assign", [issue_id], assignee=kees.membership_id)[0]
    )
    run_issue_action(browser, "assign", [issue_id], assignee=reader.membership_id)
    assert browser.get(f"/api/v1/issues/{issue_id}").json()["assignee"] is None
    run_issue_action(browser, "assign", [issue_id], assignee=anna.membership_id)
    for query, count in (("assignee=me", 1), ("assignee=none", 0), ("severity=stops_sync", 0), ("q=Haan", 1)):
        assert len(signed_in(anna).get(f"/api/v1/issues?{query}").json()) == count, query
    assert "data-issue=" not in signed_in(kees).get("/issues/?assignee=me").content.decode()

    provider = ownership_providers.get("issues")
    assert provider is not None
    with organisation_scope(admin.organisation_id):
        assert provider.list_owned(admin, anna.membership_id)[0].count == 1
        provider.move(admin, anna.membership_id, admin.membership_id)
        entry = AuditEntry.objects.get(action="issue.assigned")
        assert (entry.subject_name, entry.details["after"]) == (
            bakery.name,
            {"assignee_id": anna.membership_id},
        )
    assert signed_in(admin).get(f"/api/v1/issues/{issue_id}").json()["assignee"] == admin.membership_id


def test_readers_and_strangers_change_nothing(admin: Actor, bakery: Administration, actor: Any) -> None:
    reader, kees = colleague(actor, admin, "reader", "Rosa"), colleague(actor, admin, "user", "Kees")
    assign(reader, bakery)
    issue_id = raise_test_issue(bakery)
    page = signed_in(reader).get("/issues/").content.decode()
    assert ("data-issue=" in page, 'value="dismiss"' in page) == (True, False)
    body = {"ids": [issue_id], "action": "dismiss"}
    for person, status in ((reader, 403), (kees, 200)):
        answer = signed_in(person).post("/api/v1/issues/actions", body, "application/json")
        assert answer.status_code == status
    assert answer.json()["skipped"][0]["reason_code"] == "not_found"
    assert signed_in(kees).get(f"/issues/{issue_id}/").status_code == 404
    stranger = actor("administrator", name="Vreemde")
    assert signed_in(stranger).get(f"/api/v1/issues/{issue_id}").status_code == 404


def test_rest_refuses_unknown_filters_and_undoes_what_it_did(admin: Actor, bakery: Administration) -> None:
    issue_id = raise_test_issue(bakery)
    browser = signed_in(admin)
    for query in ("kind=nothing", "user=everyone", "assignee=x", "state=closed", "colour=red"):
        assert browser.get(f"/api/v1/issues?{query}").status_code == 422, query
    body = {"ids": [issue_id], "action": "dismiss"}
    result = browser.post("/api/v1/issues/actions", body, "application/json").json()
    assert result["changed"] == [issue_id]
    repeated = browser.post("/api/v1/issues/actions", body, "application/json").json()
    assert (repeated["operation"], repeated["skipped"][0]["reason_code"]) == (None, "unchanged")
    assert browser.post(f"/api/v1/issues/operations/{result['operation']}/undo").json() == {"undone": 1}
    assert browser.get(f"/api/v1/issues/{issue_id}").json()["state"] == "open"


def test_an_action_is_not_undone_by_who_sees_only_some_of_its_issues(
    admin: Actor, bakery: Administration, actor: Any
) -> None:
    garage = administration_of(colleague(actor, admin, "administrator", "Bram"), "Garage Vos B.V.")
    user = colleague(actor, admin, "user", "Ulf")
    assign(user, bakery)
    ids = [raise_test_issue(bakery), raise_test_issue(garage)]
    body = {"ids": ids, "action": "dismiss"}
    done = signed_in(admin).post("/api/v1/issues/actions", body, "application/json").json()
    undo = f"/api/v1/issues/operations/{done['operation']}/undo"
    assert signed_in(user).post(undo).status_code == 404
    assert signed_in(admin).post(undo).json() == {"undone": 2}


def test_commands_do_what_the_page_does_and_a_comment_shows_there(
    admin: Actor, bakery: Administration
) -> None:
    issue_id = raise_test_issue(bakery)
    with organisation_scope(admin.organisation_id):
        email = User.objects.get(pk=admin.user_id).email

    def run(*words: str) -> Any:
        outcome = CliRunner().invoke(app, [*words, "--as", email, "--json"])
        assert outcome.exit_code == 0, outcome.output
        return json.loads(outcome.stdout.splitlines()[-1])

    run("comment", str(issue_id), "Gebeld met de klant")
    operation = run("assign", str(issue_id), "--to", str(admin.membership_id))["operation"]
    until = (timezone.localdate() + timedelta(days=2)).isoformat()
    assert run("snooze", str(issue_id), "--until", until)["changed"] == [issue_id]
    assert run("list") == []
    assert run("reopen", str(issue_id))["changed"] == [issue_id]
    assert run("undo", str(operation))["undone"] == 1
    printed = run("show", str(issue_id))
    browser = signed_in(admin)
    over_rest = browser.get(f"/api/v1/issues/{issue_id}").json()
    assert printed["state"] == over_rest["state"] == "open"
    assert (printed["severity"], printed["subject_id"]) == (over_rest["severity"], bakery.pk)
    page = browser.get(f"/issues/{issue_id}/").content.decode()
    assert "Gebeld met de klant" in page
    assert browser.post(f"/issues/{issue_id}/", {"text": "  "}).status_code == 200
    browser.post(f"/issues/{issue_id}/", {"text": "Is akkoord"})
    assert "2 comments" in browser.get("/issues/?group=client").content.decode()
    with organisation_scope(admin.organisation_id):
        Issue.objects.all().delete()
        assert not IssueComment.objects.exists()


def test_a_balance_that_differs_offers_the_full_check_with_one_button(
    admin: Actor, bakery: Administration
) -> None:
    issue_id = raise_test_issue(
        bakery, SyncIssue.BALANCE_DIFFERS, year="2025", count=1, accounts="4000 (-10.00)"
    )
    browser = signed_in(admin)
    for path in (f"/administrations/{bakery.pk}/", f"/issues/{issue_id}/"):
        page = browser.get(path).content.decode()
        action = f'action="/administrations/{bakery.pk}/sync/now"'
        forms = [form.partition("</form>")[0] for form in page.split(action)[1:]]
        assert any('name="full" value="1"' in form and "Run full check" in form for form in forms), path


def test_retry_starts_the_sync_from_the_list_of_issues_and_shows_it(
    admin: Actor, bakery: Administration
) -> None:
    raise_test_issue(bakery, SyncIssue.SYNC_FAILED, reason="closed")
    browser = signed_in(admin)
    retry = f'formaction="/administrations/{bakery.pk}/sync/now"'
    page = browser.get("/issues/").content.decode()
    assert retry in page
    assert "every 3s" not in page
    after = browser.post(f"/administrations/{bakery.pk}/sync/now", {"next": "/issues/"}, follow=True)
    assert after.redirect_chain[-1][0] == "/issues/"
    assert "Syncing" in after.content.decode()
    assert retry not in after.content.decode()
    assert "every 3s" in after.content.decode()


def test_mine_counts_issues_of_own_connections_and_those_assigned_to_me(
    admin: Actor, bakery: Administration
) -> None:
    issue_id = raise_test_issue(bakery, SyncIssue.SYNC_FAILED, reason="closed")
    with organisation_scope(admin.organisation_id):
        subject = Subject(SubjectKind.CONNECTION, bakery.connection_id)
        raise_issue(admin.organisation_id, ConnectionIssue.CONSENT_LOST, subject, {"account": "a"})
        Connection.objects.filter(pk=bakery.connection_id).update(owner_id=admin.membership_id)
        Assignment.objects.filter(administration_id=bakery.pk).delete()
    browser = signed_in(admin)
    assert "Yours: 1" in browser.get("/").content.decode()
    browser.post("/issues/actions", {"id": issue_id, "action": "assign", "assignee": admin.membership_id})
    assert "Yours: 2" in browser.get("/").content.decode()
    assert browser.get("/issues/?user=me").content.decode().count("data-issue=") == 2
