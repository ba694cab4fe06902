"""Restricted administrations: they exist for the people named on them and for nobody else, whatever their role.

An Administrator sees that such administrations exist: how many, in which state, who is named. Neither name, number nor books.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.errors import NotThere
from koppel.administrations.models import Administration, Assignment
from koppel.administrations.scope import not_there, visible_to
from koppel.audit.services import record
from koppel.organisations.errors import NotAllowed, Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission, Role


@dataclass(frozen=True)
class Masked:
    """A restricted administration as an Administrator who is not named on it sees it."""

    id: int
    status: str
    people: Sequence[str]
    is_orphaned: bool
    """Nobody named on it may sign in any more."""


def set_access(actor: Actor, administration_id: int, *, restricted: bool, membership_ids: Collection[int]) -> None:
    """Restricted: exactly these people are named on it, everybody else comes off. Open: these are added.

    Raises `NotThere`, `NotAllowed`, and `Refused` when nobody would be left who may sign in."""
    actor.require(Permission.IMPORT)
    one = visible_to(actor).select_for_update(of=("self",), no_key=True).filter(pk=administration_id).first()
    if one is None:
        raise not_there(actor, administration_id)
    members = _members(actor, membership_ids)
    before = sorted(one.assignments.filter(organisation_id=one.organisation_id).values_list("membership_id", flat=True))
    if restricted:
        if not any(_is_live(member) for member in members):
            raise Refused(_("Name at least one person who may sign in: nobody else would see it any more."))
        one.assignments.filter(organisation_id=one.organisation_id).exclude(membership__in=members).delete()
    _name(one, members)
    if one.restricted != restricted:
        one.restricted = restricted
        one.save(update_fields=["restricted"])
    act = "administration.restricted" if restricted else "administration.opened"
    details = {"before": before, "after": sorted(member.pk for member in members)}
    record(actor.organisation_id, actor.audit, act, subject=("administration", one.pk, ""), details=details)


def hidden_from(actor: Actor) -> list[Masked]:
    """The restricted administrations that exist beside what this Administrator sees; for other roles none exist."""
    if actor.role != Role.ADMINISTRATOR:
        return []
    hidden = _hidden(actor)
    people = Assignment.objects.filter(organisation_id=actor.organisation_id, administration__in=hidden)
    named: dict[int, list[Membership]] = {}
    for assignment in people.select_related("membership__user").order_by("membership__user__name"):
        named.setdefault(assignment.administration_id, []).append(assignment.membership)
    return [
        Masked(
            one.pk,
            one.status,
            [str(member.user) for member in named.get(one.pk, [])],
            not any(_is_live(member) for member in named.get(one.pk, [])),
        )
        for one in hidden.order_by("pk")
    ]


def count_hidden_from(actor: Actor) -> int:
    return _hidden(actor).count() if actor.role == Role.ADMINISTRATOR else 0


def rescue(actor: Actor, administration_id: int, membership_id: int) -> None:
    """Name somebody on a restricted administration whose people have all left the firm. Only then, and in the trail.

    Raises `NotAllowed`, `NotThere`, `Refused`."""
    if actor.role != Role.ADMINISTRATOR:
        raise NotAllowed(Permission.ORGANISATION)
    one = _hidden(actor).select_for_update(of=("self",), no_key=True).filter(pk=administration_id).first()
    if one is None:
        raise NotThere
    named = one.assignments.filter(organisation_id=one.organisation_id).select_related("membership__user")
    if any(_is_live(assignment.membership) for assignment in named):
        raise Refused(_("Somebody named on it may still sign in: ask them."))
    members = _members(actor, [membership_id])
    if not any(_is_live(member) for member in members):
        raise Refused(_("Name at least one person who may sign in: nobody else would see it any more."))
    _name(one, members)
    details = {"after": [member.pk for member in members]}
    record(
        actor.organisation_id, actor.audit, "administration.rescued", subject=("administration", one.pk, ""),
        details=details,
    )  # fmt: skip


def _hidden(actor: Actor) -> "QuerySet[Administration]":
    own = Administration.objects.filter(organisation_id=actor.organisation_id, restricted=True, withdrawn_at=None)
    return own.exclude(pk__in=visible_to(actor).filter(restricted=True).values("pk"))


def _members(actor: Actor, membership_ids: Collection[int]) -> list[Membership]:
    wanted = set(membership_ids)
    found = list(Membership.objects.filter(organisation_id=actor.organisation_id, pk__in=wanted).select_related("user"))
    if len(found) != len(wanted):
        raise NotThere
    return found


def _is_live(member: Membership) -> bool:
    return member.is_active and (member.expires_at is None or member.expires_at > timezone.now())


def _name(one: Administration, members: Sequence[Membership]) -> None:
    """Chosen, even when they were on it by default."""
    Assignment.objects.bulk_create(
        [
            Assignment(organisation_id=one.organisation_id, administration=one, membership=member, automatic=False)
            for member in members
        ],
        update_conflicts=True,
        unique_fields=["organisation", "administration", "membership"],
        update_fields=["automatic"],
    )
