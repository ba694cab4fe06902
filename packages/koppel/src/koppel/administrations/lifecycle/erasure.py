"""Planned deactivation, and erasure after the retention period.

Books are erased first and the row itself last; then the audit log has no names any more. Restartable at any
moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from koppel.administrations.audit_actions import AdministrationAction, BulkAuditAction
from koppel.administrations.audit_log.reading import anonymise_administration
from koppel.administrations.hooks import erase_data, stop_syncs
from koppel.administrations.models import Administration, Assignment, BulkItem, Favourite, Status
from koppel.audit.services import KOPPEL_ACTOR, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.companies import same_company
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue
from koppel.notifications.events.erasure import erase_administration


@dataclass(frozen=True)
class DueWork:
    """The work that is due today. `to_erase` holds (organisation, administration) pairs."""

    organisations_to_deactivate: Sequence[int]
    to_erase: Sequence[tuple[int, int]]


def find_due_work() -> DueWork:
    """Return what falls due today: deactivations that were planned, and erasures. In the installation's
    scope.
    """
    today = timezone.localdate()
    planned = Administration.objects.filter(scheduled_deactivation_on__lte=today, withdrawn_at=None)
    erasable = Administration.objects.filter(
        Q(erase_on__lte=today, client_left_on__isnull=False) | Q(withdrawn_at__isnull=False)
    )
    return DueWork(
        sorted(set(planned.values_list("organisation_id", flat=True))),
        list(erasable.order_by("pk").values_list("organisation_id", "pk")),
    )


def deactivate_planned(organisation_id: int) -> int:
    """Deactivate the administrations whose scheduled day has come. Returns how many."""
    due = Administration.objects.in_organisation(organisation_id).filter(
        scheduled_deactivation_on__lte=timezone.localdate(), withdrawn_at=None
    )
    ids = list(due.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    if not ids:
        return 0
    Administration.objects.in_organisation(organisation_id).filter(pk__in=ids).update(
        status=Status.DEACTIVATED,
        status_code="",
        status_reason="",
        deactivated_on=timezone.localdate(),
        scheduled_deactivation_on=None,
    )
    stop_syncs(organisation_id, ids)
    add_audit_entry(
        organisation_id, KOPPEL_ACTOR, BulkAuditAction.DEACTIVATED, details={"administrations": ids}
    )
    return len(ids)


def erase_batch(organisation_id: int, administration_id: int) -> bool:
    """Erase a part of an administration that was withdrawn, or whose retention has ended. Returns True while
    there may be more.

    The books come first and the row itself last; before that, its names are blanked in the audit log. It can
    be interrupted and repeated at any moment.
    """
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk=administration_id)
    is_erasable = Q(withdrawn_at__isnull=False) | Q(
        erase_on__lte=timezone.localdate(), client_left_on__isnull=False
    )
    administration = queryset.filter(is_erasable).select_for_update(no_key=True).first()
    if administration is None:
        return False
    stop_syncs(organisation_id, [administration.pk])
    if erase_data.first(organisation_id, administration.pk):
        return True
    anonymise_administration(organisation_id, administration.pk)
    _erase_row(administration)
    details = {
        "reason": "withdrawn" if administration.withdrawn_at else "retention_ended",
        "company": administration.remote_company_id,
    }
    add_audit_entry(
        organisation_id,
        KOPPEL_ACTOR,
        AdministrationAction.ERASED,
        subject=Subject(SubjectKind.ADMINISTRATION, administration_id),
        details=details,
    )
    return False


def _erase_row(administration: Administration) -> None:
    organisation_id = administration.organisation_id
    Issue.objects.in_organisation(organisation_id).filter(
        subject_kind=SubjectKind.ADMINISTRATION, subject_id=administration.pk
    ).delete()
    erase_administration(organisation_id, administration.pk)
    for model in (BulkItem, Assignment, Favourite):
        model.objects.in_organisation(organisation_id).filter(administration_id=administration.pk).delete()
    Administration.objects.in_organisation(organisation_id).filter(predecessor=administration).update(
        predecessor=None
    )
    remote_company_id, is_offboarded = administration.remote_company_id, administration.withdrawn_at is None
    Administration.objects.in_organisation(organisation_id).filter(pk=administration.pk).delete()
    companies = RemoteCompany.objects.in_organisation(organisation_id).filter(pk=remote_company_id)
    if is_offboarded:
        # What the accounting system still lists is listed again; what we remembered of it goes.
        companies.delete()
    elif company := companies.select_for_update(no_key=True).first():
        same_company.clear_identity(company)
        company.save()
