"""Use cases of divisions: create, rename, archive, merge, and their people."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.organisations.audit_actions import DivisionAction
from koppel.organisations.errors import Refused
from koppel.organisations.groups import hooks
from koppel.organisations.groups.hooks import GroupKind
from koppel.organisations.groups.inputs import DivisionInput
from koppel.organisations.groups.named_group import GroupType, sort_archived_last, summary_of
from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.roles import Actor, Permission

DIVISION = GroupType(
    kind=GroupKind.DIVISION,
    model=Division,
    actions=DivisionAction,
    missing=gettext_lazy("Division not found."),
    merged_with_itself=gettext_lazy("A division cannot be merged with itself."),
)
get_division = DIVISION.get
require_mergeable = DIVISION.require_mergeable


@dataclass(frozen=True, kw_only=True)
class DivisionSummary:
    """A division with the number of its people and administrations."""

    id: int
    name: str
    is_archived: bool
    people: int
    administrations: int


def list_summaries(actor: Actor) -> list[DivisionSummary]:
    """Return divisions, those in use first, by name."""
    divisions = Division.objects.for_actor(actor)
    annotated = divisions.annotate(people=Count("members", filter=Q(members__membership__is_active=True)))
    administrations = hooks.count_usage(actor.organisation_id, GroupKind.DIVISION)
    return sort_archived_last(
        DivisionSummary(
            id=division.pk,
            name=division.name,
            is_archived=division.archived_at is not None,
            people=division.people,
            administrations=administrations.get(division.pk, 0),
        )
        for division in annotated
    )


def get_summary(actor: Actor, division_id: int) -> DivisionSummary:
    """Return a division as the list shows it. Raises `NoSuchGroup`."""
    return summary_of(list_summaries(actor), get_division(actor, division_id).pk)


def create_division(actor: Actor, division: DivisionInput) -> Division:
    """Create a division, with its people when they are named. Raises `Refused` when the name is taken or
    empty.
    """
    return get_division(actor, _save(actor, None, division))


def change_division(actor: Actor, division_id: int, division: DivisionInput) -> None:
    """Change the name, the people and whether the division is archived. Raises `Refused`."""
    get_division(actor, division_id)
    _save(actor, division_id, division)


def _save(actor: Actor, division_id: int | None, division: DivisionInput) -> int:
    saved_id = DIVISION.save(actor, division_id, division.name, archived=division.archived, values={})
    if division.people is not None:
        set_people(actor, saved_id, division.people)
    return saved_id


def set_people(actor: Actor, division_id: int, membership_ids: Iterable[int]) -> None:
    """Set the division's people to these active members; people without access keep their divisions. Raises
    `Refused` for other people.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    division = get_division(actor, division_id)
    active = set(Membership.objects.for_actor(actor).filter(is_active=True).values_list("pk", flat=True))
    requested_ids = set(membership_ids)
    if not requested_ids <= active:
        raise Refused(_("Choose active people."), field="people")
    members = DivisionMember.objects.for_actor(actor).filter(division=division)
    before = set(members.values_list("membership_id", flat=True)) & active
    members.filter(membership_id__in=before - requested_ids).delete()
    DivisionMember.objects.bulk_create(
        [
            DivisionMember(
                organisation_id=actor.organisation_id, division=division, membership_id=membership_id
            )
            for membership_id in sorted(requested_ids - before)
        ],
        ignore_conflicts=True,
    )
    if requested_ids != before:
        details = {"before": sorted(before), "after": sorted(requested_ids)}
        DIVISION.add_audit_entry(actor, DivisionAction.MEMBERS_CHANGED, (division.pk, division.name), details)


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Move administrations and people to another division, and archive this one. Return the number of
    administrations.

    Raises `Refused`.
    """
    source, target = require_mergeable(actor, from_id, into_id)
    members = DivisionMember.objects.for_actor(actor).filter(division=source)
    membership_ids = list(members.values_list("membership_id", flat=True))
    DivisionMember.objects.bulk_create(
        [
            DivisionMember(
                organisation_id=actor.organisation_id, division=target, membership_id=membership_id
            )
            for membership_id in membership_ids
        ],
        ignore_conflicts=True,
    )
    members.delete()
    moved_count = sum(hooks.move_usage(actor, GroupKind.DIVISION, source.pk, target.pk))
    DIVISION.archive_merged(
        actor, source, target, {"people": sorted(membership_ids), "administrations": moved_count}
    )
    return moved_count
