"""The list of people: search, filters, and the state of each."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.roles import Actor, Permission, Role

PAGE_SIZE = 100


class MemberStatus(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    NONE = "none"


@dataclass(frozen=True)
class MemberFilter:
    """The filter in the query string."""

    search: str = ""
    role: Role | None = None
    division: int | None = None
    access: MemberStatus | None = None


@dataclass(frozen=True, kw_only=True)
class MemberRow:
    membership: Membership
    divisions: list[str]
    access: MemberStatus
    has_mfa: bool


def list_memberships(actor: Actor, filters: MemberFilter) -> "QuerySet[Membership]":
    """Return current and former members, by name."""
    actor.require(Permission.MANAGE_PEOPLE)
    memberships = Membership.objects.for_actor(actor)
    if filters.search:
        memberships = memberships.filter(
            Q(user__name__icontains=filters.search) | Q(user__email__icontains=filters.search)
        )
    if filters.role:
        memberships = memberships.filter(role=filters.role)
    if filters.division:
        in_division = DivisionMember.objects.filter(membership=OuterRef("pk"), division_id=filters.division)
        memberships = memberships.filter(Exists(in_division))
    expired = Q(expires_at__lte=timezone.now())
    if filters.access == MemberStatus.LIVE:
        memberships = memberships.filter(is_active=True).exclude(expired)
    elif filters.access == MemberStatus.EXPIRED:
        memberships = memberships.filter(expired, is_active=True)
    elif filters.access == MemberStatus.NONE:
        memberships = memberships.filter(is_active=False)
    return memberships.select_related("user").order_by("-is_active", "user__name", "pk")


def has_division(actor: Actor, division_id: int) -> bool:
    """Return whether the list can be filtered by this division: the organisation's, and not archived."""
    return Division.objects.for_actor(actor).filter(pk=division_id, archived_at=None).exists()


def list_member_rows(memberships: Iterable[Membership]) -> list[MemberRow]:
    """Return the rows of these members, with one query for each kind of detail."""
    members = list(memberships)
    links = (
        DivisionMember.objects.filter(membership__in=members)
        .select_related("division")
        .order_by("division__name")
    )
    divisions: dict[int, list[str]] = {}
    for link in links:
        divisions.setdefault(link.membership_id, []).append(link.division.name)
    with_mfa = ids_with_mfa([membership.user_id for membership in members])
    return [
        MemberRow(
            membership=membership,
            divisions=divisions.get(membership.pk, []),
            access=status_of(membership),
            has_mfa=membership.user_id in with_mfa,
        )
        for membership in members
    ]


def status_of(membership: Membership) -> MemberStatus:
    if not membership.is_active:
        return MemberStatus.NONE
    return MemberStatus.LIVE if membership.is_live else MemberStatus.EXPIRED


def ids_with_mfa(user_ids: list[int]) -> set[int]:
    """Return the ids of the members who have set up a second factor or a passkey."""
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return set(
        Authenticator.objects.filter(user_id__in=user_ids, type__in=kinds).values_list("user_id", flat=True)
    )


def divisions_of(actor: Actor) -> list[Division]:
    """Return the divisions that people can be put in."""
    divisions = Division.objects.for_actor(actor).filter(archived_at=None)
    return list(divisions.order_by("name"))
