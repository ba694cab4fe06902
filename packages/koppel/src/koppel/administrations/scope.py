"""The administrations that an actor may see. Every query of administrations and books starts here."""

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from koppel.administrations.errors import NoSuchAdministration
from koppel.administrations.models import Administration, Assignment
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.sessions import audit_refusal
from koppel.kit.database.threads import in_separate_transaction
from koppel.kit.web.parameters import ID_MAX
from koppel.organisations.models import DivisionMember
from koppel.organisations.roles import Actor


def visible_to(actor: Actor) -> "QuerySet[Administration]":
    """Return all for Administrators and Team leaders, the assigned ones
    (personally or through a division) for others.

    A restricted administration is visible only to the people named on it, whatever their role."""
    administrations = Administration.objects.for_actor(actor).filter(withdrawn_at=None)
    is_assigned = Exists(
        Assignment.objects.for_actor(actor).filter(
            administration=OuterRef("pk"), membership_id=actor.membership_id
        )
    )
    if actor.sees_all_administrations:
        return administrations.filter(Q(restricted=False) | is_assigned)
    divisions = (
        DivisionMember.objects.for_actor(actor)
        .filter(membership_id=actor.membership_id)
        .values("division_id")
    )
    return administrations.filter(is_assigned | Q(restricted=False, division_id__in=divisions))


def restricted_company_ids(actor: Actor) -> Any:
    """Return the remote companies whose administration is restricted to others."""
    administrations = Administration.objects.for_actor(actor).filter(restricted=True)
    return administrations.exclude(pk__in=visible_to(actor).filter(restricted=True).values("pk")).values(
        "remote_company_id"
    )


def administration_for(actor: Actor, administration_id: int) -> Administration:
    """Return the administration, with its connection, division and template. Raises `NoSuchAdministration`,
    after an audit entry: a request by number may be a search for hidden administrations.
    """
    queryset = visible_to(actor).select_related("connection", "division", "template", "remote_company")
    administration = queryset.filter(pk=administration_id).first()
    if administration is None:
        raise audited_not_found(actor, administration_id)
    return administration


def get_locked(actor: Actor, administration_id: int) -> Administration:
    """Return the administration with its row locked, in the caller's transaction. Raises
    `NoSuchAdministration` as `administration_for` does."""
    queryset = visible_to(actor).filter(pk=administration_id)
    administration = queryset.select_for_update(of=("self",), no_key=True).first()
    if administration is None:
        raise audited_not_found(actor, administration_id)
    return administration


def audited_not_found(actor: Actor, administration_id: int) -> NoSuchAdministration:
    """Return the error to raise, after an audit entry about a request for a hidden administration."""
    subject = Subject(SubjectKind.ADMINISTRATION, min(administration_id, ID_MAX))
    in_separate_transaction(lambda: audit_refusal(actor.organisation_id, subject, "not_found", actor.audit))
    return NoSuchAdministration()
