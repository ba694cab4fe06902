"""The life cycle after the import: cancelled, withdrawn, deactivated, erased, and predecessors."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from psycopg import sql

from koppel.administrations.audit_actions import AdministrationAction, BulkAuditAction
from koppel.administrations.hooks import stop_syncs
from koppel.administrations.inputs import OffboardingInput, PredecessorInput, WithdrawalInput
from koppel.administrations.lifecycle import erasure, offboarding, predecessors
from koppel.administrations.models import Administration, Favourite
from koppel.administrations.tasks import erase, process_due_dates
from koppel.audit.chain import link_pending
from koppel.audit.models import AuditEntry
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.models import RemoteCompany
from koppel.issues.services import raise_issue
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import open_event
from koppel.notifications.models import Event, Notification, WebhookDelivery
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor
from koppel.sync.models import Change, Checkpoint, Run, RunResource
from tests.administrations.test_list import browser_of, names
from tests.audit.factories import finding_codes
from tests.books.factories import Ledger, administration_of, assign
from tests.fixtures.concurrency import run_concurrently

NOT_ERASED = {"audit_entry"}
"""Keeps that something happened, by number only."""


def fill_all_tables(admin: Actor, administration: Administration) -> None:
    """Insert a row into every table with data of an administration."""
    ledger = Ledger(administration)
    ledger.account("1000", "Kas")
    ledger.entry("1", "202601", ("1000", "10.00", "0"), ("8000", "0", "10.00"))
    ledger.balance("1000", "202601", "0", "10.00")
    assign(admin, administration)
    keys: dict[str, Any] = {"organisation_id": admin.organisation_id, "administration_id": administration.pk}
    with organisation_scope(admin.organisation_id):
        run = Run.objects.create(**keys, trigger="manual")
        RunResource.objects.create(
            organisation_id=admin.organisation_id, run=run, resource="accounts", position=1
        )
        Checkpoint.objects.create(**keys, resource="accounts")
        Change.objects.create(
            **keys, run_id=run.pk, resource="accounts", external_id="1000", kind="added", at=timezone.now()
        )
        Favourite.objects.create(**keys, membership_id=admin.membership_id)
        raise_issue(
            admin.organisation_id, "made_up_by_a_test", Subject(SubjectKind.ADMINISTRATION, administration.pk)
        )


def tables_with_administration(addresses: Addresses, administration_id: int) -> set[str]:
    """Return every table with a column `administration_id` that contains this one."""
    with psycopg.connect(addresses.superuser_url) as server:
        tables = server.execute(
            "SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE a.attname = 'administration_id' AND c.relkind IN ('r', 'p') AND NOT a.attisdropped"
            " AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
        question = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE administration_id = %s)")
        return {
            name
            for (name,) in tables
            if server.execute(question.format(sql.Identifier(name)), [administration_id]).fetchone()
            == (True,)
        }


def test_withdrawing_an_import_hides_it_at_once_and_a_job_erases_it(
    actor: Any, database_addresses: Addresses
) -> None:
    admin = actor("administrator")
    administration, sibling = administration_of(admin), administration_of(admin, "Blijft B.V.")
    fill_all_tables(admin, administration)
    fill_all_tables(admin, sibling)
    browser = browser_of(admin)
    browser.post(f"/administrations/{administration.pk}/withdraw", {"name": "something else"})
    assert len(names(admin, "")) == 2
    browser.post(f"/administrations/{administration.pk}/withdraw", {"name": "bakkerij de haan b.v."})
    assert names(admin, "") == ["Blijft B.V."]
    assert browser.get(f"/administrations/{administration.pk}/").status_code == 404
    with organisation_scope(admin.organisation_id):
        assert Run.objects.get(administration_id=administration.pk).state == "cancelled"
    assert {"books_account", "sync_change", "sync_run"} <= tables_with_administration(
        database_addresses, administration.pk
    )
    before = tables_with_administration(database_addresses, sibling.pk)
    erase(admin.organisation_id, administration.pk)
    erase(admin.organisation_id, administration.pk)
    assert tables_with_administration(database_addresses, administration.pk) - NOT_ERASED == set()
    assert tables_with_administration(database_addresses, sibling.pk) == before
    with organisation_scope(admin.organisation_id):
        entry = AuditEntry.objects.get(action="administration.erased")
        assert (entry.subject_id, entry.subject_name, entry.details) == (
            administration.pk,
            "",
            {"reason": "withdrawn", "company": administration.remote_company_id},
        )
        assert RemoteCompany.objects.filter(pk=administration.remote_company_id).exists(), (
            "it can be imported again"
        )


def test_a_queued_import_is_cancelled(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, status="queued")
    assert (
        "Cancel the import"
        in browser_of(admin).get(f"/administrations/{administration.pk}/offboarding/").content.decode()
    )
    with organisation_scope(admin.organisation_id):
        offboarding.withdraw(admin, administration.pk, WithdrawalInput(name=administration.name))
        assert (
            AuditEntry.objects.filter(action="administration.import_cancelled", subject_name="").count() == 1
        )
    assert names(admin, "") == []


def test_a_deactivated_client_is_kept_until_its_day_then_erased(
    actor: Any, database_addresses: Addresses
) -> None:
    admin = actor("administrator")
    administration, sibling = administration_of(admin), administration_of(admin, "Blijft B.V.")
    fill_all_tables(admin, administration)
    with organisation_scope(admin.organisation_id):
        subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
        add_audit_entry(
            admin.organisation_id,
            admin.audit,
            AdministrationAction.IDENTIFIED,
            subject=subject,
            details={"n": "x"},
        )
        values = {str(administration.pk): {"number": "68750110"}, str(sibling.pk): {"number": "69599084"}}
        ids = [administration.pk, sibling.pk]
        details = {"administrations": ids, "before": {}, "after": values}
        add_audit_entry(admin.organisation_id, admin.audit, BulkAuditAction.ASSIGNED, details=details)
        companies = {str(each.remote_company_id): each.name for each in (sibling, administration)}
        details = {"companies": companies}
        add_audit_entry(
            admin.organisation_id, admin.audit, ConnectionAction.COMPANIES_SHARED, details=details
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT audit_forget(%s, %s)", [admin.organisation_id, administration.pk])
        assert (
            AuditEntry.objects.get(action="administration.identified").subject_name == administration.name
        ), "nobody forgets before"
    today = timezone.localdate()
    browser = browser_of(admin)
    form = {"client_left_on": today.isoformat(), "erase_on": today.isoformat()}
    assert (
        "Choose a future date"
        in browser.post(f"/administrations/{administration.pk}/offboard", form, follow=True).content.decode()
    )
    form["erase_on"] = (today + timedelta(days=2557)).isoformat()
    page = browser.post(f"/administrations/{administration.pk}/offboard", form, follow=True).content.decode()
    assert "Export the books to keep a copy" in page
    assert (
        f"/administrations/{administration.pk}/books/export/"
        in browser.get(f"/administrations/{administration.pk}/offboarding/").content.decode()
    )
    with organisation_scope(admin.organisation_id):
        left = Administration.objects.get(pk=administration.pk)
        assert (left.status, left.client_left_on) == ("deactivated", today)
        assert Administration.objects.get(pk=sibling.pk).status == "active", "siblings go on"
        assert Run.objects.get().state == "cancelled"
    assert names(admin, "lifecycle=client_left") == [administration.name]
    listed = browser.get("/administrations/?lifecycle=client_left").content.decode()
    assert "Client left" in listed
    assert "Deactivated" not in listed.partition("<tbody")[2].partition("</tbody>")[0]
    path = f"/administrations/{administration.pk}/offboarding/"
    assert f'value="{form["erase_on"]}"' in browser.get(path).content.decode(), "dates can be changed"
    process_due_dates(0)
    erase(admin.organisation_id, administration.pk)
    assert "books_account" in tables_with_administration(database_addresses, administration.pk), (
        "its day has not come"
    )
    with organisation_scope(admin.organisation_id):
        Administration.objects.filter(pk=administration.pk).update(erase_on=today)
    notify_people_and_programs(admin, administration, sibling)
    process_due_dates(0)
    erase(admin.organisation_id, administration.pk)
    assert tables_with_administration(database_addresses, administration.pk) - NOT_ERASED == set()
    with organisation_scope(admin.organisation_id):
        assert [set(notice.administrations) for notice in Notification.objects.all()] == [{sibling.pk}]
        texts = [
            *Event.objects.values_list("context", "administrations"),
            *WebhookDelivery.objects.values_list("body"),
        ]
        assert not any(administration.name in str(each) for each in texts), (
            "notices and the logs of webhooks neither"
        )
    with organisation_scope(admin.organisation_id):
        assert not RemoteCompany.objects.filter(pk=administration.remote_company_id).exists()
        assert AuditEntry.objects.get(action="administration.erased").subject_name == ""
        before = AuditEntry.objects.get(action="administration.identified")
        assert (before.subject_name, before.details, before.actor_name) == ("", {}, admin.name)
        assigned = AuditEntry.objects.get(action="administrations.assigned").details
        assert assigned["after"] == {str(sibling.pk): {"number": "69599084"}}
        assert AuditEntry.objects.get(action="connection.companies_shared").details["companies"] == {
            str(sibling.remote_company_id): sibling.name
        }
        texts = AuditEntry.objects.values_list("subject_name", "details")
        assert not any(administration.name in str(entry) for entry in texts), (
            "the trail names nobody any more"
        )
        assert set(AuditEntry.objects.filter(salt=None).values_list("action", flat=True)) == {
            "administration.identified",
            "administration.offboarded",
            "administrations.assigned",
            "connection.companies_shared",
        }
    link_pending()
    assert finding_codes() == set(), "digests stay"


def notify_people_and_programs(admin: Actor, administration: Administration, sibling: Administration) -> None:
    with organisation_scope(admin.organisation_id):
        endpoints.create_webhook(admin, WebhookInput(name="Tickets", url="https://tickets.example.test/"))
        both = {
            company.pk: {"name": company.name, "reason": company.name}
            for company in (administration, sibling)
        }
        responsible = admin.membership_id
        open_event(
            admin.organisation_id,
            "connection_lost",
            EventKey("both", 1),
            responsible=responsible,
            administrations=both,
        )
        alone = {administration.pk: both[administration.pk]}
        open_event(
            admin.organisation_id,
            "connection_lost",
            EventKey("alone", 1),
            responsible=responsible,
            administrations=alone,
        )
        assert (Notification.objects.count(), WebhookDelivery.objects.count()) == (2, 2)


def test_a_reactivated_client_is_not_erased(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    today = timezone.localdate()
    with organisation_scope(admin.organisation_id):
        data = OffboardingInput(client_left_on=today, erase_on=today + timedelta(days=1))
        offboarding.offboard_client(admin, administration.pk, data)
    browser_of(admin).post(f"/administrations/{administration.pk}/cancel-offboarding")
    with organisation_scope(admin.organisation_id):
        assert Administration.objects.get(pk=administration.pk).erase_on is None
        assert erasure.find_due_work().to_erase == []


def test_a_planned_deactivation_happens_on_its_day(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(
        admin, scheduled_deactivation_on=timezone.localdate(), deactivation_reason="Jaarwerk klaar"
    )
    process_due_dates(0)
    with organisation_scope(admin.organisation_id):
        stopped = Administration.objects.get(pk=administration.pk)
        assert (stopped.status, stopped.scheduled_deactivation_on) == ("deactivated", None)
        assert stopped.deactivation_reason == "Jaarwerk klaar"


def test_an_error_in_one_organisation_does_not_block_deactivations_of_others(
    actor: Any,
) -> None:
    first, second = actor("administrator"), actor("administrator")
    ones = [
        administration_of(admin, scheduled_deactivation_on=timezone.localdate()) for admin in (first, second)
    ]

    def breaks(organisation_id: int, _ids: Any) -> None:
        if organisation_id == first.organisation_id:
            raise RuntimeError("a fault of ours")

    with stop_syncs.only(*stop_syncs.listeners, breaks):
        process_due_dates(0)
    with organisation_scope(second.organisation_id):
        assert Administration.objects.get(pk=ones[1].pk).status == "deactivated"
    with organisation_scope(first.organisation_id):
        assert Administration.objects.get(pk=ones[0].pk).scheduled_deactivation_on == timezone.localdate(), (
            "it stays due"
        )


def test_concurrent_predecessor_changes_cannot_form_a_cycle(actor: Any) -> None:
    admin = actor("administrator")
    administration, other = administration_of(admin, "Een B.V."), administration_of(admin, "Twee B.V.")
    outcome = run_concurrently(
        admin,
        lambda: predecessors.set_predecessor(
            admin, administration.pk, PredecessorInput(administration=other.pk)
        ),
        lambda: predecessors.set_predecessor(
            admin, other.pk, PredecessorInput(administration=administration.pk)
        ),
    )
    assert isinstance(outcome, Refused)


def test_the_same_number_twice_warns_until_one_continues_the_other(actor: Any) -> None:
    admin = actor("administrator")
    old = administration_of(admin, "Oud B.V.", number="69599084", number_scheme="0106", client_number="K9")
    new = administration_of(admin, "Nieuw B.V.", number="69599084", number_scheme="0106")
    browser = browser_of(admin)
    assert (
        "Other administrations with this number:"
        in browser.get(f"/administrations/{new.pk}/").content.decode()
    )
    browser.post(f"/administrations/{new.pk}/predecessor", {"predecessor": "k9"})
    page = browser.get(f"/administrations/{new.pk}/").content.decode()
    assert "Other administrations with this number:" not in page
    assert "Oud B.V." in page
    assert "Nieuw B.V." in browser.get(f"/administrations/{old.pk}/").content.decode()
    with organisation_scope(admin.organisation_id), pytest.raises(Refused):
        predecessors.set_predecessor(admin, old.pk, PredecessorInput(administration=new.pk))


def test_the_audit_log_forgets_only_a_client_that_is_erased(
    actor: Any, database_addresses: Addresses
) -> None:
    """The role of the application withdraws a client, has the log forget it, and undoes the rest."""
    admin = actor("administrator")
    administration = administration_of(admin, "Bakkerij B.V.")
    with organisation_scope(admin.organisation_id):
        subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
        add_audit_entry(
            admin.organisation_id, admin.audit, AdministrationAction.IDENTIFIED, subject=subject, details={}
        )
    withdraw = "UPDATE administrations_administration SET withdrawn_at = %s, is_forgotten = %s WHERE id = %s"
    scope = "SELECT set_config('koppel.organisation', %s, true)"
    with psycopg.connect(database_addresses.app_url) as application:
        application.execute(scope, [str(admin.organisation_id)])
        application.execute(withdraw, [timezone.now(), False, administration.pk])
        application.execute("SELECT audit_forget(%s, %s)", [admin.organisation_id, administration.pk])
        application.execute(withdraw, [None, False, administration.pk])
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            application.commit()
    with organisation_scope(admin.organisation_id):
        entry = AuditEntry.objects.get(action="administration.identified")
        assert entry.subject_name == administration.name
