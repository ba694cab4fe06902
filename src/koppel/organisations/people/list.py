"""The list of people: search, filters, and what each of them is just now."""

from dataclasses import dataclass
from enum import StrEnum

from allauth.mfa.models import Authenticator
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.roles import Actor, Permission, Role

PAGE_SIZE = 100
EXPIRES_SOON_DAYS = 30


class Access(StrEnum):
    LIVE = "live"
    EXPIRED = "expired"
    NONE = "none"


@dataclass(frozen=True)
class Asked:
    """What the address bar asks for."""

    words: str = ""
    role: Role | None = None
    division: int | None = None
    access: Access | None = None


@dataclass(frozen=True)
class Row:
    membership: Membership
    divisions: list[str]
    access: Access
    second_step: bool


def people_of(actor: Actor, asked: Asked) -> "QuerySet[Membership]":
    """Members, present and past, by name."""
    actor.require(Permission.PEOPLE)
    found = Membership.objects.filter(organisation_id=actor.organisation_id)
    if asked.words:
        found = found.filter(Q(user__name__icontains=asked.words) | Q(user__email__icontains=asked.words))
    if asked.role:
        found = found.filter(role=asked.role)
    if asked.division:
        there = DivisionMember.objects.filter(membership=OuterRef("pk"), division_id=asked.division)
        found = found.filter(Exists(there))
    expired = Q(expires_at__lte=timezone.now())
    if asked.access == Access.LIVE:
        found = found.filter(is_active=True).exclude(expired)
    elif asked.access == Access.EXPIRED:
        found = found.filter(expired, is_active=True)
    elif asked.access == Access.NONE:
        found = found.filter(is_active=False)
    return found.select_related("user").order_by("-is_active", "user__name", "pk")


def has_division(actor: Actor, division_id: int) -> bool:
    """Whether a list of people can be filtered by it: the organisation's, and not archived."""
    return Division.objects.filter(organisation_id=actor.organisation_id, pk=division_id, archived_at=None).exists()


def rows(found: "QuerySet[Membership]", page: int) -> list[Row]:
    """A page of the list; `page` counts from 1."""
    shown = list(found[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
    links = DivisionMember.objects.filter(membership__in=shown).select_related("division").order_by("division__name")
    divisions: dict[int, list[str]] = {}
    for link in links:
        divisions.setdefault(link.membership_id, []).append(link.division.name)
    secured = with_second_step([one.user_id for one in shown])
    return [Row(one, divisions.get(one.pk, []), access(one), one.user_id in secured) for one in shown]


def access(one: Membership) -> Access:
    if not one.is_active:
        return Access.NONE
    return Access.LIVE if one.is_live else Access.EXPIRED


def with_second_step(user_ids: list[int]) -> set[int]:
    """Who of them has set up a second step or a passkey."""
    kinds = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)
    return set(Authenticator.objects.filter(user_id__in=user_ids, type__in=kinds).values_list("user_id", flat=True))


def divisions_of(actor: Actor) -> list[Division]:
    """Those that people can be put in."""
    own = Division.objects.filter(organisation_id=actor.organisation_id, archived_at=None)
    return list(own.order_by("name"))
