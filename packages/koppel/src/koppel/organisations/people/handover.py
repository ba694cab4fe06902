"""Hand over the items that a departing member owns to a colleague in one action (`people.hooks`), with a
preview.
"""

from dataclasses import dataclass

from django.db import transaction
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.organisations.access.sessions import sessions_of
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import ApiToken, Membership
from koppel.organisations.people.hooks import OwnedItem, ownership_providers
from koppel.organisations.people.inputs import HandOverInput
from koppel.organisations.people.services import (
    MembershipTerms,
    get_member,
    lock_access_changes,
    require_change_allowed,
    require_grantable_role,
    terms_of,
    update_membership,
)
from koppel.organisations.roles import Actor, Permission, Role


@dataclass(frozen=True, kw_only=True)
class TransferItems:
    """Objects of one kind that a transfer moves: ids and names, without names that the actor may not read."""

    key: str
    label: str
    items: list[tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """The effect of handing over: `items` go to the successor; with `deactivate`, sessions end and tokens
    are revoked.
    """

    departing_member: Membership
    successor: Membership
    deactivate: bool
    items: list[TransferItems]
    sessions: int
    tokens: int

    @property
    def facts(self) -> list[object]:
        """The effects in a form that does not depend on the language."""
        return [
            self.departing_member.pk,
            self.successor.pk,
            self.deactivate,
            self.sessions,
            self.tokens,
            [(kind.key, sorted(key for key, _name in kind.items)) for kind in self.items],
        ]


def owned_items(actor: Actor, membership: Membership) -> list[OwnedItem]:
    """Return the items that this member owns in every app, without empty kinds."""
    items = (
        item
        for provider in ownership_providers.values()
        for item in provider.list_owned(actor, membership.pk)
    )
    return [item for item in items if item.count]


def preview(actor: Actor, membership_id: int, hand_over_input: HandOverInput) -> Transfer:
    """Return the changes that `hand_over` would make. Other changes of access wait until the caller's
    transaction ends. Raises `Refused`.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    lock_access_changes(actor)
    departing_member, successor = _both_members(actor, membership_id, hand_over_input.to)
    if hand_over_input.deactivate:
        require_change_allowed(actor, departing_member.pk, _terms_without_access(departing_member))
    items = [
        TransferItems(
            key=key,
            label=str(provider.label),
            items=provider.preview(actor, departing_member.pk, successor.pk, hand_over_input.deactivate),
        )
        for key, provider in ownership_providers.items()
    ]
    tokens = ApiToken.objects.for_actor(actor).filter(membership=departing_member, revoked_at=None)
    return Transfer(
        departing_member=departing_member,
        successor=successor,
        deactivate=hand_over_input.deactivate,
        items=[kind for kind in items if kind.items],
        sessions=len(sessions_of(departing_member.user_id, actor.organisation_id)),
        tokens=tokens.count(),
    )


@transaction.atomic
def hand_over(
    actor: Actor, membership_id: int, hand_over_input: HandOverInput, *, confirmed: Transfer | None = None
) -> dict[str, int]:
    """Move all items that one member owns to another, optionally ending the first member's access.

    Returns the numbers by provider. Raises `Refused`, also if the items differ from those confirmed; then
    nothing was moved.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    departing_member, successor = _both_members(actor, membership_id, hand_over_input.to)
    if hand_over_input.deactivate:
        update_membership(actor, departing_member.pk, _terms_without_access(departing_member))
    moved_counts = {
        key: provider.move(actor, departing_member.pk, successor.pk)
        for key, provider in ownership_providers.items()
    }
    if confirmed and {key: count for key, count in moved_counts.items() if count} != {
        kind.key: len(kind.items) for kind in confirmed.items
    }:
        raise Refused(
            _("The data changed after you opened this page. No changes were saved; please check again.")
        )
    details = {"to": str(successor.user), "moved": moved_counts}
    subject = Subject(kind=SubjectKind.PERSON, id=departing_member.pk, name=str(departing_member.user))
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        PersonAction.OWNERSHIP_TRANSFERRED,
        subject=subject,
        details=details,
    )
    return moved_counts


def _both_members(actor: Actor, membership_id: int, to_membership_id: int) -> tuple[Membership, Membership]:
    """Return the departing member and the successor. Raises `NoSuchMember`, `Refused`."""
    departing_member = get_member(actor, membership_id)
    successor = Membership.objects.for_actor(actor).select_related("user").filter(pk=to_membership_id).first()
    if successor is None:
        raise Refused(_("This person is not a member of your organisation."), field="to")
    require_grantable_role(actor, Role(departing_member.role))
    if departing_member.pk == successor.pk or not successor.is_live:
        raise Refused(_("Choose an active colleague."), field="to")
    return departing_member, successor


def _terms_without_access(departing_member: Membership) -> MembershipTerms:
    terms = terms_of(departing_member)
    return MembershipTerms(
        role=terms.role, is_active=False, expires_at=terms.expires_at, divisions=terms.divisions
    )
