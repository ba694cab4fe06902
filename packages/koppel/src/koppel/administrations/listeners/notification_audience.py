"""Recipients of an administration's events: its responsible person, and members with access, its division or
a favourite.
"""

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet

from koppel.administrations.effective_settings import NOBODY, effective_settings
from koppel.administrations.models import Administration, Assignment, Favourite
from koppel.audit.subjects import Subject, SubjectKind
from koppel.notifications.audience.hooks import (
    Audience,
    SubjectDescription,
    VisibleAdministrations,
)
from koppel.organisations.models import DivisionMember, Membership
from koppel.organisations.roles import Actor, Role


def describe_subject(organisation_id: int, administration_id: int) -> SubjectDescription:
    """Describe an administration with its responsible person: the one whom a colleague assigned, else the
    importer, else the owner of its connection.

    An automatic assignment at import makes no member responsible.
    """
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk=administration_id)
    administration = queryset.select_related("connection").first()
    if administration is None:
        return SubjectDescription()
    manual_assignments = Assignment.objects.in_organisation(organisation_id).filter(
        administration=administration, automatic=False, membership__is_active=True
    )
    first = manual_assignments.order_by("pk").values_list("membership_id", flat=True).first()
    return SubjectDescription(
        name=administration.name,
        responsible=first or administration.imported_by_id or administration.connection.owner_id,
        administrations={administration.pk: administration.name},
    )


def unrestricted_ids(
    organisation_id: int, administration_ids: Collection[int], division_ids: Collection[int]
) -> list[int]:
    """Return the administrations that are not restricted.

    A restricted one concerns only the members named on it, never a program.
    """
    administrations = Administration.objects.in_organisation(organisation_id).filter(
        pk__in=administration_ids
    )
    if division_ids:
        administrations = administrations.filter(division_id__in=division_ids)
    return list(administrations.filter(restricted=False, withdrawn_at=None).values_list("pk", flat=True))


def readable_administrations(actor: Actor, membership_ids: Collection[int]) -> "QuerySet[Administration]":
    """Return the administrations of which a member's notifications may tell: those that they see, and the
    unrestricted ones for which these members (they, and those whose substitute they are) are responsible.
    """
    is_assigned_by_choice = Assignment.objects.for_actor(actor).filter(
        administration=OuterRef("pk"),
        membership_id__in=set(membership_ids) - {actor.membership_id},
        automatic=False,
    )
    is_responsible = (
        Q(connection__owner_id__in=membership_ids)
        | Q(imported_by_id__in=membership_ids)
        | Exists(is_assigned_by_choice)
    )
    administrations = Administration.objects.for_actor(actor)
    visible = Administration.objects.visible_to(actor).values("pk")
    return administrations.filter(Q(pk__in=visible) | Q(is_responsible, restricted=False, withdrawn_at=None))


def visible_administrations_of(
    organisation_id: int,
    subject: Subject | None,
    administration_ids: Collection[int],
    membership_ids: Collection[int],
) -> dict[int, VisibleAdministrations]:
    """Return the administrations that each of these members may see: restricted ones only with an
    assignment.
    """
    administrations = Administration.objects.in_organisation(organisation_id)
    if administration_ids:
        administrations = administrations.filter(pk__in=administration_ids)
    elif subject and subject.kind == SubjectKind.CONNECTION and subject.id is not None:
        administrations = administrations.filter(connection_id=subject.id)
    else:
        return {}
    ids = list(administrations.values_list("pk", flat=True))
    people = Membership.objects.in_organisation(organisation_id).filter(pk__in=membership_ids)
    return {person.pk: reach for person in people if (reach := _visible_to_member(person, ids)).visible}


def fallback_recipients(
    organisation_id: int, membership_id: int, administration_ids: Collection[int]
) -> dict[int, int | None]:
    """Return, for each restricted administration on which this member is not named, the first named member
    who may sign in; None if there is none.
    """
    restricted = Administration.objects.in_organisation(organisation_id).filter(
        pk__in=administration_ids, restricted=True
    )
    own_assignments = Assignment.objects.in_organisation(organisation_id).filter(membership_id=membership_id)
    own_administration_ids = own_assignments.values("administration_id")
    recipients: dict[int, int | None] = dict.fromkeys(
        restricted.exclude(pk__in=own_administration_ids).values_list("pk", flat=True)
    )
    assignments = (
        Assignment.objects.in_organisation(organisation_id)
        .filter(administration__in=recipients)
        .select_related("membership")
        .order_by("-pk")
    )
    recipients.update(
        {
            assignment.administration_id: assignment.membership_id
            for assignment in assignments
            if assignment.membership.is_live
        }
    )
    return recipients


def audience_of(organisation_id: int, event: str, administration_ids: Collection[int]) -> dict[int, Audience]:
    """Return the members whom the effective settings notify: those whom a colleague assigned, and those of
    the division.
    """
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk__in=administration_ids)
    administrations = list(queryset.select_related("template", "organisation"))
    audiences = {
        administration.pk: effective_settings(administration).notify.get(event)
        for administration in administrations
    }
    manual_assignments = Assignment.objects.in_organisation(organisation_id).filter(automatic=False)
    members: dict[int, set[int]] = {administration.pk: set() for administration in administrations}
    matches = manual_assignments.filter(
        administration__in=[
            administration_id for administration_id, to in audiences.items() if to in ("assigned", "division")
        ]
    )
    for administration_id, member in matches.values_list("administration_id", "membership_id"):
        members[administration_id].add(member)
    by_division = {
        administration.pk: administration.division_id
        for administration in administrations
        if audiences[administration.pk] == "division" and not administration.restricted
    }
    of_division: dict[int, set[int]] = {}
    people = DivisionMember.objects.in_organisation(organisation_id).filter(
        division__in=set(by_division.values())
    )
    for division, member in people.values_list("division_id", "membership_id"):
        of_division.setdefault(division, set()).add(member)
    for administration_id, division_id in by_division.items():
        members[administration_id] |= of_division.get(division_id or 0, set())
    return {
        administration_id: Audience(audiences[administration_id] == NOBODY, frozenset(those))
        for administration_id, those in members.items()
    }


def _visible_to_member(person: Membership, ids: list[int]) -> VisibleAdministrations:
    actor = Actor(
        organisation_id=person.organisation_id,
        membership_id=person.pk,
        user_id=person.user_id,
        name="",
        role=Role(person.role),
    )
    division_ids = dict(
        Administration.objects.visible_to(actor).filter(pk__in=ids).values_list("pk", "division_id")
    )
    division_members = DivisionMember.objects.for_actor(actor).filter(membership=person)
    divisions = set(division_members.values_list("division_id", flat=True))
    favourites = (
        Favourite.objects.for_actor(actor)
        .filter(membership=person, administration_id__in=division_ids)
        .values_list("administration_id", flat=True)
    )
    shared = frozenset(
        administration_id for administration_id, division in division_ids.items() if division in divisions
    )
    return VisibleAdministrations(
        visible=frozenset(division_ids), divisions=shared, favourites=frozenset(favourites)
    )
