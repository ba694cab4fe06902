"""Use cases of divisions: make, rename, archive, merge, and who belongs to one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.groups import hooks
from koppel.organisations.groups.hooks import GroupKind
from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.services import save_division


@dataclass(frozen=True)
class DivisionSummary:
    """A division with how many people and administrations it has."""

    id: int
    name: str
    is_archived: bool
    people: int
    administrations: int


def list_summaries(actor: Actor) -> list[DivisionSummary]:
    """Those in use first, by name."""
    divisions = Division.objects.filter(organisation_id=actor.organisation_id)
    annotated = divisions.annotate(people=Count("members", filter=Q(members__membership__is_active=True)))
    administrations = hooks.count_usage(actor.organisation_id, GroupKind.DIVISION)
    return sorted(
        (
            DivisionSummary(
                division.pk,
                division.name,
                division.archived_at is not None,
                division.people,
                administrations.get(division.pk, 0),
            )
            for division in annotated
        ),
        key=lambda summary: (summary.is_archived, summary.name.casefold()),
    )


def get_division(actor: Actor, division_id: int) -> Division:
    """Raises `Refused`: not there and of another firm look alike."""
    division = Division.objects.filter(organisation_id=actor.organisation_id, pk=division_id).first()
    if division is None:
        raise Refused(_("There is no such division."))
    return division


def create(actor: Actor, name: str) -> Division:
    """Raises `Refused` when the name is taken or empty."""
    return get_division(actor, save_division(actor, None, name))


def change(
    actor: Actor, division_id: int, *, name: str, archived: bool, membership_ids: Iterable[int] | None = None
) -> None:
    """Its name, whether it is still offered, and all of its people (None: as they are). Raises `Refused`."""
    get_division(actor, division_id)
    save_division(actor, division_id, name, archived=archived)
    if membership_ids is not None:
        set_people(actor, division_id, membership_ids)


def set_people(actor: Actor, division_id: int, membership_ids: Iterable[int]) -> None:
    """Exactly these, of the firm's own active members; those without access keep what they had."""
    actor.require(Permission.MANAGE_PEOPLE)
    division = get_division(actor, division_id)
    tenant = {"organisation_id": actor.organisation_id}
    active = set(Membership.objects.filter(**tenant, is_active=True).values_list("pk", flat=True))
    requested_ids = set(membership_ids) & active
    members = DivisionMember.objects.filter(**tenant, division=division)
    before = set(members.values_list("membership_id", flat=True)) & active
    members.filter(membership_id__in=before - requested_ids).delete()
    DivisionMember.objects.bulk_create(
        [DivisionMember(**tenant, division=division, membership_id=key) for key in sorted(requested_ids - before)],
        ignore_conflicts=True,
    )
    if requested_ids != before:
        _record(actor, "division.people_changed", division, {"before": sorted(before), "after": sorted(requested_ids)})


def check_merge(actor: Actor, from_id: int, into_id: int) -> tuple[Division, Division]:
    """The one that is emptied and the one that stays. Raises `Refused` when they cannot be merged."""
    actor.require(Permission.MANAGE_PEOPLE)
    source, target = get_division(actor, from_id), get_division(actor, into_id)
    if source.pk == target.pk:
        raise Refused(_("A division cannot be merged with itself."))
    if target.archived_at:
        raise Refused(_("“%s” is archived.") % target.name)
    return source, target


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Its administrations and people move to the other one; it stays behind, archived. How many administrations moved.

    Raises `Refused`."""
    source, target = check_merge(actor, from_id, into_id)
    tenant = {"organisation_id": actor.organisation_id}
    people = list(DivisionMember.objects.filter(**tenant, division=source).values_list("membership_id", flat=True))
    DivisionMember.objects.bulk_create(
        [DivisionMember(**tenant, division=target, membership_id=key) for key in people], ignore_conflicts=True
    )
    DivisionMember.objects.filter(**tenant, division=source).delete()
    moved = sum(hooks.move_usage(actor, GroupKind.DIVISION, source.pk, target.pk))
    Division.objects.filter(**tenant, pk=source.pk).update(archived_at=timezone.now())
    details = {"into": target.pk, "into_name": target.name, "people": sorted(people), "administrations": moved}
    _record(actor, "division.merged", source, details)
    return moved


def _record(actor: Actor, action: str, division: Division, details: Mapping[str, object]) -> None:
    record(
        actor.organisation_id, actor.audit, action, subject=("division", division.pk, division.name), details=details
    )
