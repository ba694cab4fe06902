"""Restricted administrations: they exist for their assigned members and for no other, whatever the role.

An Administrator sees that such administrations exist: how many, in which state, who is named. Neither name,
number nor books.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.access import get_locked
from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.errors import NoSuchAdministration
from koppel.administrations.inputs import RestrictionInput
from koppel.administrations.models import Administration, Assignment
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission, Role


@dataclass(frozen=True, kw_only=True)
class HiddenAdministration:
    """A restricted administration as an Administrator who is not named on it sees it."""

    id: int
    status: str
    people: Sequence[str]
    is_orphaned: bool
    """Whether no person who is named on the administration may sign in any more."""


def set_access(actor: Actor, administration_id: int, restriction_input: RestrictionInput) -> None:
    """Restrict an administration to exactly these members, or open it and assign them.

    Raises `NoSuchAdministration`, `NotAllowed`, and `Refused` when no named member may sign in.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = get_locked(actor, administration_id)
    members = _get_members(actor, restriction_input.people)
    before = sorted(
        administration.assignments.filter(organisation_id=administration.organisation_id).values_list(
            "membership_id", flat=True
        )
    )
    if restriction_input.restricted:
        if not any(_is_live(member) for member in members):
            raise Refused(
                _("Choose at least one active user; otherwise this administration is hidden from all users.")
            )
        administration.assignments.filter(organisation_id=administration.organisation_id).exclude(
            membership__in=members
        ).delete()
    _add_members(administration, members)
    if administration.restricted != restriction_input.restricted:
        administration.restricted = restriction_input.restricted
        administration.save(update_fields=["restricted"])
    action = (
        AdministrationAction.RESTRICTED if restriction_input.restricted else AdministrationAction.UNRESTRICTED
    )
    details = {"before": before, "after": sorted(member.pk for member in members)}
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        action,
        subject=Subject(SubjectKind.ADMINISTRATION, administration.pk),
        details=details,
    )


def list_hidden(actor: Actor) -> list[HiddenAdministration]:
    """List the restricted administrations beside what this Administrator sees; for other roles none exist."""
    if actor.role != Role.ADMINISTRATOR:
        return []
    hidden = _hidden_administrations(actor)
    people = Assignment.objects.for_actor(actor).filter(administration__in=hidden)
    members: dict[int, list[Membership]] = {}
    for assignment in people.select_related("membership__user").order_by("membership__user__name"):
        members.setdefault(assignment.administration_id, []).append(assignment.membership)
    return [
        HiddenAdministration(
            id=administration.pk,
            status=administration.status,
            people=[str(member.user) for member in members.get(administration.pk, [])],
            is_orphaned=not any(_is_live(member) for member in members.get(administration.pk, [])),
        )
        for administration in hidden.order_by("pk")
    ]


def count_hidden(actor: Actor) -> int:
    return _hidden_administrations(actor).count() if actor.role == Role.ADMINISTRATOR else 0


def reassign_orphaned(actor: Actor, administration_id: int, membership_id: int) -> None:
    """Name a person on a restricted administration whose people have all left the firm, with an audit entry.
    Raises `NotAllowed`, `NoSuchAdministration`, `Refused`.
    """
    if actor.role != Role.ADMINISTRATOR:
        raise NotAllowed(Permission.MANAGE_ORGANISATION)
    administration = (
        _hidden_administrations(actor)
        .select_for_update(of=("self",), no_key=True)
        .filter(pk=administration_id)
        .first()
    )
    if administration is None:
        raise NoSuchAdministration
    assignments = administration.assignments.filter(
        organisation_id=administration.organisation_id
    ).select_related("membership__user")
    if any(_is_live(assignment.membership) for assignment in assignments):
        raise Refused(_("An active user has access: ask that user."))
    members = _get_members(actor, [membership_id])
    if not any(_is_live(member) for member in members):
        raise Refused(
            _("Choose at least one active user; otherwise this administration is hidden from all users.")
        )
    _add_members(administration, members)
    details = {"after": [member.pk for member in members]}
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        AdministrationAction.REASSIGNED,
        subject=Subject(SubjectKind.ADMINISTRATION, administration.pk),
        details=details,
    )


def _hidden_administrations(actor: Actor) -> "QuerySet[Administration]":
    return Administration.objects.restricted_from(actor).filter(withdrawn_at=None)


def _get_members(actor: Actor, membership_ids: Collection[int]) -> list[Membership]:
    requested_ids = set(membership_ids)
    memberships = list(
        Membership.objects.for_actor(actor).filter(pk__in=requested_ids).select_related("user")
    )
    if len(memberships) != len(requested_ids):
        raise NoSuchAdministration
    return memberships


def _is_live(member: Membership) -> bool:
    return member.is_active and (member.expires_at is None or member.expires_at > timezone.now())


def _add_members(administration: Administration, members: Sequence[Membership]) -> None:
    """Assign people by choice, also those that were assigned automatically."""
    Assignment.objects.bulk_create(
        [
            Assignment(
                organisation_id=administration.organisation_id,
                administration=administration,
                membership=member,
                automatic=False,
            )
            for member in members
        ],
        update_conflicts=True,
        unique_fields=["organisation", "administration", "membership"],
        update_fields=["automatic"],
    )
