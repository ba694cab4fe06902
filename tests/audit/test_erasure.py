"""An erasure takes texts out of the audit log by the id of an administration, never by text."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from koppel.administrations.audit_actions import AdministrationAction, BulkAuditAction
from koppel.administrations.lifecycle.erasure import erase_batch
from koppel.administrations.models import Administration
from koppel.audit.chain import link_pending
from koppel.audit.models import AuditEntry
from koppel.audit.services import KOPPEL_ACTOR, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope, set_scope_sql
from koppel.organisations.roles import Actor
from tests.audit.factories import Superuser, finding_codes, record_division
from tests.books.factories import administration_of


@pytest.fixture
def superuser(clean_database: None, database_addresses: Addresses) -> Iterator[Superuser]:
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as connection:
        yield connection


def test_the_name_of_an_erased_company_hides_nothing_else(actor: Any) -> None:
    """Its name is the vendor's text: a role, a key of the details or another company may be the same."""
    admin = actor("administrator", name="before")
    erased, sibling = administration_of(admin, "before"), administration_of(admin, "administrator")
    record_division(admin, "before", before={"role": "administrator"}, after={"before": "before"})
    with organisation_scope(admin.organisation_id):
        for administration in (erased, sibling):
            subject = Subject(SubjectKind.ADMINISTRATION, administration.pk, administration.name)
            add_audit_entry(
                admin.organisation_id, admin.audit, AdministrationAction.IDENTIFIED, subject=subject
            )
        names = {str(each.remote_company_id): each.name for each in (erased, sibling)}
        add_audit_entry(
            admin.organisation_id,
            admin.audit,
            ConnectionAction.COMPANIES_SHARED,
            details={"companies": names},
        )
    link_pending()
    with organisation_scope(admin.organisation_id):
        long_ago = timezone.now() - timedelta(days=1)
        Administration.objects.filter(pk=erased.pk).update(withdrawn_at=long_ago)
        while erase_batch(admin.organisation_id, erased.pk):
            pass
        entries = AuditEntry.objects.all()
        division = entries.get(action="division.changed")
        assert (division.subject_name, division.actor_name) == ("before", "before")
        assert division.details == {"before": {"role": "administrator"}, "after": {"before": "before"}}
        identified = entries.filter(action="administration.identified").order_by("subject_id")
        assert [entry.subject_name for entry in identified] == ["", "administrator"]
        shared = entries.get(action="connection.companies_shared")
        assert shared.details == {"companies": {str(sibling.remote_company_id): "administrator"}}
        assert shared.salt is None
        assert sum("digest" in part for part in (shared.parts or {}).values()) == 1
    link_pending()
    assert finding_codes() == set()


def record_in_bulk(admin: Actor, administration: Administration) -> None:
    """Entries about an administration, about several, and about a person of the same number."""
    key = str(administration.pk)
    with organisation_scope(admin.organisation_id):
        subject = Subject(SubjectKind.ADMINISTRATION, administration.pk, administration.name)
        add_audit_entry(admin.organisation_id, admin.audit, AdministrationAction.IDENTIFIED, subject=subject)
        add_audit_entry(
            admin.organisation_id, admin.audit, BulkAuditAction.DEACTIVATED, details={"before": {key: {}}}
        )
    record_division(admin, "Zuid", before={key: "Anna"})


def erase_values(superuser: Superuser, admin: Actor, condition: str, path: str) -> None:
    """Erase a value as the owner of the database."""
    with superuser.transaction():
        superuser.execute(*set_scope_sql(admin.organisation_id))
        superuser.execute(
            f"SELECT audit_erase_values(e, ARRAY[%s]) FROM audit_entry e WHERE {condition}".encode(), [path]
        )


def record_erasure(admin: Actor, administration: Administration) -> None:
    """Say that it was erased, as whoever runs statements as the application role can."""
    with organisation_scope(admin.organisation_id):
        add_audit_entry(
            admin.organisation_id,
            KOPPEL_ACTOR,
            AdministrationAction.ERASED,
            subject=Subject(SubjectKind.ADMINISTRATION, administration.pk),
            details={"company": administration.remote_company_id},
        )
    link_pending()


def test_the_recorded_erasure_of_what_exists_is_a_finding(actor: Any, superuser: Superuser) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, "Bakker")
    record_in_bulk(admin, administration)
    record_erasure(admin, administration)
    assert finding_codes() == {"false_erasure"}
    erase_values(superuser, admin, "action = 'administration.identified'", "subject_name")
    assert finding_codes() == {"false_erasure", "erased_without_record"}


def test_an_erasure_covers_its_administration_alone_and_what_was_written_before(
    actor: Any, superuser: Superuser
) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, "Bakker")
    record_in_bulk(admin, administration)
    with organisation_scope(admin.organisation_id):
        Administration.objects.filter(pk=administration.pk).update(withdrawn_at=timezone.now())
        while erase_batch(admin.organisation_id, administration.pk):
            pass
    link_pending()
    assert finding_codes() == set()
    path = json.dumps(["details", "before", str(administration.pk)])
    erase_values(superuser, admin, "subject_name = 'Zuid'", path)
    assert finding_codes() == {"erased_without_record"}


def test_what_was_written_after_an_erasure_is_not_erased_by_it(actor: Any, superuser: Superuser) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, "Bakker")
    with organisation_scope(admin.organisation_id):
        Administration.objects.filter(pk=administration.pk).update(withdrawn_at=timezone.now())
        while erase_batch(admin.organisation_id, administration.pk):
            pass
    record_in_bulk(admin, administration)
    link_pending()
    assert finding_codes() == set()
    erase_values(superuser, admin, "action = 'administration.identified'", "subject_name")
    assert finding_codes() == {"erased_without_record"}
