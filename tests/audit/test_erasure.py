"""An erasure takes texts out of the audit log by the id of an administration, never by text."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.lifecycle.erasure import erase_batch
from koppel.administrations.models import Administration
from koppel.audit.chain import link_pending
from koppel.audit.models import AuditEntry
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.kit.tenancy import organisation_scope
from tests.audit.factories import finding_codes, record_division
from tests.books.factories import administration_of


def test_the_name_of_an_erased_company_hides_nothing_else(actor: Any) -> None:
    """Its name is the vendor's text: a role, a key of the details or another company may be the same."""
    admin = actor("administrator", name="before")
    erased, sibling = administration_of(admin, "before"), administration_of(admin, "administrator")
    record_division(admin, "before", before={"role": "administrator"}, after={"before": "before"})
    with organisation_scope(admin.organisation_id):
        for administration in (erased, sibling):
            subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
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
