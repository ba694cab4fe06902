"""Use cases of divisions: make, rename, archive, merge, and who belongs to one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.groups import hooks as dependants
from koppel.organisations.groups.hooks import Group
from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.services import save_division


@dataclass(frozen=True)
class DivisionLine:
    """A division with how many people and administrations it has."""

    id: int
    name: str
    is_archived: bool
    people: int
    administrations: int


def lines(actor: Actor) -> list[DivisionLine]:
    """Those in use first, by name."""
    own = Division.objects.filter(organisation_id=actor.organisation_id)
    found = own.annotate(people=Count("members", filter=Q(members__membership__is_active=True)))
    administrations = dependants.counts(actor.organisation_id, Group.DIVISION)
    return sorted(
        (
            DivisionLine(one.pk, one.name, one.archived_at is not None, one.people, administrations.get(one.pk, 0))
            for one in found
        ),
        key=lambda line: (line.is_archived, line.name.casefold()),
    )


def division_named(actor: Actor, division_id: int) -> Division:
    """Raises `Refused`: not there and of another firm look alike."""
    found = Division.objects.filter(organisation_id=actor.organisation_id, pk=division_id).first()
    if found is None:
        raise Refused(_("There is no such division."))
    return found


def make(actor: Actor, name: str) -> Division:
    """Raises `Refused` when the name is taken or empty."""
    return division_named(actor, save_division(actor, None, name))


def change(
    actor: Actor, division_id: int, *, name: str, archived: bool, membership_ids: Iterable[int] | None = None
) -> None:
    """Its name, whether it is still offered, and all of its people (None: as they are). Raises `Refused`."""
    division_named(actor, division_id)
    save_division(actor, division_id, name, archived=archived)
    if membership_ids is not None:
        set_people(actor, division_id, membership_ids)


def set_people(actor: Actor, division_id: int, membership_ids: Iterable[int]) -> None:
    """Exactly these, of the firm's own active members; those without access keep what they had."""
    actor.require(Permission.PEOPLE)
    division = division_named(actor, division_id)
    own = {"organisation_id": actor.organisation_id}
    active = set(Membership.objects.filter(**own, is_active=True).values_list("pk", flat=True))
    wanted = set(membership_ids) & active
    members = DivisionMember.objects.filter(**own, division=division)
    before = set(members.values_list("membership_id", flat=True)) & active
    members.filter(membership_id__in=before - wanted).delete()
    DivisionMember.objects.bulk_create(
        [DivisionMember(**own, division=division, membership_id=one) for one in sorted(wanted - before)],
        ignore_conflicts=True,
    )
    if wanted != before:
        _record(actor, "division.people_changed", division, {"before": sorted(before), "after": sorted(wanted)})


def check_merge(actor: Actor, from_id: int, into_id: int) -> tuple[Division, Division]:
    """The one that is emptied and the one that stays. Raises `Refused` when they cannot be merged."""
    actor.require(Permission.PEOPLE)
    leaving, staying = division_named(actor, from_id), division_named(actor, into_id)
    if leaving.pk == staying.pk:
        raise Refused(_("A division cannot be merged with itself."))
    if staying.archived_at:
        raise Refused(_("“%s” is archived.") % staying.name)
    return leaving, staying


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Its administrations and people move to the other one; it stays behind, archived. How many administrations moved.

    Raises `Refused`."""
    leaving, staying = check_merge(actor, from_id, into_id)
    own = {"organisation_id": actor.organisation_id}
    people = list(DivisionMember.objects.filter(**own, division=leaving).values_list("membership_id", flat=True))
    DivisionMember.objects.bulk_create(
        [DivisionMember(**own, division=staying, membership_id=one) for one in people], ignore_conflicts=True
    )
    DivisionMember.objects.filter(**own, division=leaving).delete()
    moved = dependants.move(actor, Group.DIVISION, leaving.pk, staying.pk)
    Division.objects.filter(**own, pk=leaving.pk).update(archived_at=timezone.now())
    details = {"into": staying.pk, "into_name": staying.name, "people": sorted(people), "administrations": moved}
    _record(actor, "division.merged", leaving, details)
    return moved


def _record(actor: Actor, act: str, division: Division, details: Mapping[str, object]) -> None:
    record(actor.organisation_id, actor.audit, act, subject=("division", division.pk, division.name), details=details)
