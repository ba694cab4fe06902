"""Audits access to books: to restricted ones, and any access by an operator of the installation."""

from datetime import timedelta

from django.utils import timezone

from koppel.administrations.access import administration_for
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.audit.models import AuditEntry
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.audit_actions import BooksAction
from koppel.organisations.roles import Actor

AUDIT_INTERVAL = timedelta(hours=1)
"""Reading several pages within this time is audited once."""


def open_books(actor: Actor, administration_id: int) -> Administration:
    """Return the administration whose books the actor may read, and audit the access.

    Raises `NoSuchAdministration`.
    """
    administration = administration_for(actor, administration_id)
    audit_access(actor, administration)
    return administration


def open_books_or_404(actor: Actor, administration_id: int) -> Administration:
    """Do what `open_books` does, for a page. Raises `Http404`."""
    administration = get_administration_or_404(actor, administration_id)
    audit_access(actor, administration)
    return administration


def audit_access(actor: Actor, administration: Administration) -> None:
    """Audit access to a restricted administration, or an operator's access to any.

    At most once an hour per person, administration and interface. In the caller's transaction.
    """
    if not (administration.restricted or actor.is_operator):
        return
    recent = AuditEntry.objects.filter(
        organisation_id=actor.organisation_id,
        subject_kind=SubjectKind.ADMINISTRATION,
        subject_id=administration.pk,
        at__gt=timezone.now() - AUDIT_INTERVAL,
    )
    if not recent.filter(
        action=BooksAction.ACCESSED, actor_id=actor.user_id, interface=actor.interface
    ).exists():
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            BooksAction.ACCESSED,
            subject=Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name),
        )
