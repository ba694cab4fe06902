"""The actor of a signed-in user: the user's memberships, and the one in use."""

from dataclasses import dataclass, replace

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from koppel.audit.models import Interface
from koppel.kit.tenancy import installation_scope
from koppel.organisations.access import allowed_networks
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.access.mfa import has_mfa
from koppel.organisations.access.sso_requirement import requires_sso
from koppel.organisations.models import Membership, User
from koppel.organisations.roles import Actor, Role

JOINED_FIRST = (
    F("access_restored_at").asc(nulls_first=True),
    F("joined_at").asc(nulls_last=True),
    "created_at",
    "pk",
)
"""Memberships that began, or were restored, without an action of the person come after all others."""


@dataclass(frozen=True, kw_only=True)
class OrganisationChoice:
    """An organisation that a person may switch to."""

    organisation_id: int
    name: str
    role: Role


def resolve_actor(
    user_id: int | None,
    organisation_id: int | None,
    ip_address: str,
    interface: Interface,
    *,
    sso_organisation_id: int | None = None,
) -> Actor | None:
    """Return the actor of this user in the session's organisation, else in the one last chosen, else in the
    one joined first; None without a membership.

    Callers compare the organisation: it differs from the session's when that membership has ended.
    `sso_organisation_id`: the organisation whose identity provider opened the session, which then acts in no
    other.
    """
    with installation_scope("sign-in"):
        memberships = list(
            _memberships_of(user_id, sso_organisation_id)
            .select_related("organisation")
            .order_by(*JOINED_FIRST)
        )
        current = next(
            (membership for membership in memberships if membership.organisation_id == organisation_id), None
        ) or _default_membership(memberships, interface)
        if current is None:
            return None
        is_outside = interface is not Interface.CLI and not allowed_networks.allows(
            current.organisation, ip_address
        )
        requires_mfa = current.organisation.requires_mfa and sso_organisation_id is None
        must_enrol = requires_mfa and not has_mfa(current.user_id)
        must_use_sso = (
            sso_organisation_id is None
            and interface is not Interface.CLI
            and requires_sso(current.organisation)
        )
    actor = _actor(current, ip_address, interface, must_enrol_mfa=must_enrol, may_switch=len(memberships) > 1)
    return replace(actor, is_outside_networks=is_outside, must_use_sso=must_use_sso)


def list_organisations(user_id: int, *, only: int | None = None) -> list[OrganisationChoice]:
    """Return the organisations that a person may act in, by name."""
    with installation_scope("sign-in"):
        memberships = (
            _memberships_of(user_id, only).select_related("organisation").order_by("organisation__name", "pk")
        )
        return [
            OrganisationChoice(
                organisation_id=membership.organisation_id,
                name=membership.organisation.name,
                role=Role(membership.role),
            )
            for membership in memberships
        ]


def record_chosen_organisation(user_id: int, organisation_id: int) -> None:
    """Record the organisation that the person chose; the next sign-in opens it. Not for a session that an
    identity provider opened.
    """
    User.objects.filter(pk=user_id).update(last_organisation=organisation_id)
    with installation_scope("organisation chosen"):
        current = Membership.objects.in_organisation(organisation_id).filter(user_id=user_id)
        current.filter(joined_at=None).update(joined_at=Now())
        current.exclude(access_restored_at=None).update(access_restored_at=None)


def _default_membership(memberships: list[Membership], interface: Interface) -> Membership | None:
    """Return the membership of a person who has not chosen one; `memberships` is ordered by `JOINED_FIRST`.

    A click in a browser must not affect programs that act from the shell as the same person.
    """
    for membership in memberships if interface is not Interface.CLI else ():
        is_own_choice = membership.joined_at is not None and membership.access_restored_at is None
        if is_own_choice and membership.organisation_id == membership.user.last_organisation:
            return membership
    return memberships[0] if memberships else None


def _memberships_of(user_id: int | None, only: int | None) -> "QuerySet[Membership]":
    memberships = active_memberships().filter(user_id=user_id or 0)
    return memberships if only is None else memberships.filter(organisation_id=only)


def _actor(
    membership: Membership, ip_address: str, interface: Interface, *, must_enrol_mfa: bool, may_switch: bool
) -> Actor:
    return Actor(
        organisation_id=membership.organisation_id,
        membership_id=membership.pk,
        user_id=membership.user_id,
        name=str(membership.user),
        role=Role(membership.role),
        ip_address=ip_address,
        interface=interface,
        must_enrol_mfa=must_enrol_mfa,
        may_switch=may_switch,
    )
