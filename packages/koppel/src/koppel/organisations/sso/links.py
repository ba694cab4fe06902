"""The account of an identity: the member linked to this subject at this issuer, and no other.

No account is linked by a verified e-mail address alone. An existing account is linked by its owner, in a
session opened with the owner's password or passkey a few minutes ago. Who has borrowed such a session could
link an identity of their own: where the provider does not confirm the account's address, the link waits for
an Administrator. The provider creates an account only where an invited address has none.
"""

import time
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access.actors import resolve_actor
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.errors import Refused
from koppel.organisations.hooks import sign_in_linked
from koppel.organisations.invitations import services as invitations
from koppel.organisations.models import FederatedIdentity, IdentityProvider, Invitation, Membership, User
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.sso.oidc import TokenIdentity
from koppel.organisations.sso.services import locked_active_provider

EMAIL_CHARACTERS_MAX = 254
UNLINKED_SECONDS = 30 * 60
"""The time for which a browser keeps an identity without a linked account."""


def approval_needed() -> str:
    """Return the sentence for a person whose link waits."""
    return _(
        "The identity provider does not confirm your account's e-mail address, so an Administrator must "
        "approve this sign-in: on your page under People. Then sign in again."
    )


@dataclass(frozen=True)
class UnlinkedIdentity:
    """An identity without a linked account. Kept in the browser's session until the person links it."""

    provider_id: int
    issuer: str
    subject: str
    email: str
    at: float

    @classmethod
    def of(cls, provider: IdentityProvider, identity: TokenIdentity) -> "UnlinkedIdentity":
        return cls(provider.pk, provider.issuer, identity.subject, identity.email, time.time())

    def belongs_to(self, provider: IdentityProvider) -> bool:
        is_fresh = 0 <= time.time() - self.at <= UNLINKED_SECONDS
        return is_fresh and (self.provider_id, self.issuer) == (provider.pk, provider.issuer)


def find_or_create_member(
    provider: IdentityProvider, identity: TokenIdentity, ip_address: str
) -> User | None:
    """Return the member linked to this identity; an invited person without an account gets one. None: not
    linked.

    Raises `Refused` with the reason.
    """
    with organisation_scope(provider.organisation_id):
        return _find_linked_user(provider, identity) or _create_invited_user(provider, identity, ip_address)


def link(user_id: int, provider: IdentityProvider, identity: UnlinkedIdentity, ip_address: str) -> bool:
    """Link an account by an action of the person, in a session opened with their own credentials. Return
    False when an Administrator must approve the link first. Raises `Refused`.
    """
    if not identity.belongs_to(provider):
        raise Refused(_("That sign-in took too long. Please try again."))
    actor = resolve_actor(user_id, provider.organisation_id, ip_address, Interface.WEB)
    if actor is None or actor.organisation_id != provider.organisation_id:
        raise Refused(
            _(
                "You are not a member of this organisation. Ask an Administrator for an invitation and "
                "accept it first."
            )
        )
    if actor.must_enrol_mfa:
        raise Refused(
            _("This organisation requires two-step verification. Set it up first, then link the sign-in.")
        )
    if actor.is_outside_networks:
        raise Refused(
            _("This organisation allows sign-in from its own networks only. Link the sign-in from there.")
        )
    with locked_active_provider(provider):
        membership = active_memberships().select_related("user").get(pk=actor.membership_id)
        if _is_linked(provider, identity, membership):
            return True
        is_approved = not _needs_approval(actor, membership.user.email, identity.email)
        _link(provider, identity, membership, ip_address, is_approved=is_approved)
    return is_approved


def waiting_link_of(actor: Actor, membership_id: int) -> FederatedIdentity | None:
    """Return the person's link that waits for an Administrator."""
    actor.require(Permission.MANAGE_ORGANISATION)
    links = FederatedIdentity.objects.for_actor(actor).filter(membership_id=membership_id, is_approved=False)
    return links.select_related("provider", "membership__user").first()


def approve_link(actor: Actor, membership_id: int, link_id: int) -> None:
    """Let the person sign in with this identity. Raises `Refused` when the link is no longer waiting."""
    waiting = _locked_waiting_link(actor, membership_id, link_id)
    waiting.is_approved = True
    waiting.save(update_fields=["is_approved"])
    _add_link_entry(waiting, actor.audit, PersonAction.IDENTITY_APPROVED)
    sign_in_linked(waiting.membership, waiting.provider)


def reject_link(actor: Actor, membership_id: int, link_id: int) -> None:
    """Remove a link that waits. Raises `Refused` when it is no longer waiting."""
    waiting = _locked_waiting_link(actor, membership_id, link_id)
    _add_link_entry(waiting, actor.audit, PersonAction.IDENTITY_REJECTED)
    waiting.delete()


def _locked_waiting_link(actor: Actor, membership_id: int, link_id: int) -> FederatedIdentity:
    actor.require(Permission.MANAGE_ORGANISATION)
    links = FederatedIdentity.objects.for_actor(actor).select_for_update(of=("self",))
    waiting = (
        links.filter(pk=link_id, membership_id=membership_id, is_approved=False)
        .select_related("provider", "membership__user")
        .first()
    )
    if waiting is None:
        raise Refused(_("This sign-in no longer waits for approval."))
    return waiting


def _is_linked(provider: IdentityProvider, identity: UnlinkedIdentity, membership: Membership) -> bool:
    """Return whether this link exists already. Links that wait give way to the new one: they must not keep
    the true owner of the account or of the identity from linking. Raises `Refused`.
    """
    links = FederatedIdentity.objects.in_organisation(provider.organisation_id).filter(issuer=identity.issuer)
    links.filter(Q(subject=identity.subject) | Q(membership=membership), is_approved=False).delete()
    linked = links.filter(subject=identity.subject).first()
    if linked is not None and linked.membership_id == membership.pk:
        return True
    if linked is not None:
        raise Refused(_("This sign-in is already linked to another user's account."))
    if links.filter(membership=membership).exists():
        raise Refused(_("Your account is already linked to another identity at this provider."))
    return False


def _needs_approval(actor: Actor, account_email: str, identity_email: str) -> bool:
    """Return whether an Administrator must approve a link between these addresses; `identity_email` is ''
    when the provider verified none. Raises `Refused` for another address while single sign-on is required.
    """
    if identity_email.casefold() == account_email.casefold():
        return False
    if actor.must_use_sso and identity_email:
        raise Refused(
            _(
                "At the identity provider you are %(identity)s; your account is %(account)s. While "
                "single sign-on is required, these addresses must be the same."
            )
            % {"identity": identity_email, "account": account_email}
        )
    # Without the requirement, the password of an Administrator may do all that an approval could.
    return actor.must_use_sso or not actor.can(Permission.MANAGE_ORGANISATION)


def _find_linked_user(provider: IdentityProvider, identity: TokenIdentity) -> User | None:
    links = FederatedIdentity.objects.in_organisation(provider.organisation_id).filter(issuer=provider.issuer)
    link = links.filter(provider=provider, subject=identity.subject).first()
    if link is None:
        return None
    if not link.is_approved:
        raise Refused(approval_needed())
    membership = active_memberships().filter(pk=link.membership_id).first()
    if membership is None:
        raise Refused(_("Your access to this organisation has ended."))
    _note_own(membership)
    return membership.user


def _note_own(membership: Membership) -> None:
    """Record that a person who works only here has signed in again: an organisation that they join later must
    not weaken the account.

    Where there are other organisations, the provider's word changes nothing.
    """
    if membership.joined_at is not None:
        return
    with installation_scope("only membership"):
        if not Membership.objects.filter(user_id=membership.user_id).exclude(pk=membership.pk).exists():
            Membership.objects.filter(pk=membership.pk, joined_at=None).update(joined_at=Now())


def _create_invited_user(provider: IdentityProvider, identity: TokenIdentity, ip_address: str) -> User | None:
    """Create the account of an invited address that has none: no other organisation uses it, so this one may
    vouch for the person.
    """
    if not identity.email or invitations.has_account(identity.email):
        # A second tab finds the person that the first one has just made.
        return _find_linked_user(provider, identity)
    # First sign-ins of an organisation go one after the other.
    IdentityProvider.objects.select_for_update().get(pk=provider.pk)
    return _find_linked_user(provider, identity) or _accept_invitation(provider, identity, ip_address)


def _accept_invitation(provider: IdentityProvider, identity: TokenIdentity, ip_address: str) -> User | None:
    open_invitations = invitations.open_invitations(provider.organisation_id).select_related(
        "invited_by__user", "organisation"
    )
    # Who accepts by the link of the mail at this instant has an account when the lock is ours.
    invitation = open_invitations.select_for_update(of=("self",)).filter(email__iexact=identity.email).first()
    if invitation is None or invitation.has_lapsed or not invitation.is_sender_authorized:
        return None
    if refusal := invitations.rejection_reason(invitation):
        raise Refused(refusal)
    user = _new_user(invitation, identity)
    if user is None:
        return None
    membership = invitations.join(invitation, user, ip_address, joined_at=None)
    _link(provider, identity, membership, ip_address)
    return user


def _new_user(invitation: Invitation, identity: TokenIdentity) -> User | None:
    """Return None when another organisation created the account at the same moment."""
    name = (identity.name or invitation.name or invitation.email)[:200]
    if invitations.has_account(invitation.email):
        return None
    try:
        with transaction.atomic():
            return User.objects.create(
                email=invitation.email, name=name, language=invitation.language, password=make_password(None)
            )
    except IntegrityError:
        return None


def _link(
    provider: IdentityProvider,
    identity: TokenIdentity | UnlinkedIdentity,
    membership: Membership,
    ip_address: str,
    *,
    is_approved: bool = True,
) -> None:
    link = FederatedIdentity.objects.create(
        organisation_id=provider.organisation_id,
        provider=provider,
        issuer=provider.issuer,
        subject=identity.subject,
        membership=membership,
        email=identity.email[:EMAIL_CHARACTERS_MAX],
        is_approved=is_approved,
    )
    who = AuditActor(ActorKind.PERSON, membership.user_id, str(membership.user), ip_address, Interface.WEB)
    action = PersonAction.IDENTITY_LINKED if is_approved else PersonAction.IDENTITY_WAITING
    _add_link_entry(link, who, action)
    if is_approved:
        sign_in_linked(membership, provider)


def _add_link_entry(link: FederatedIdentity, who: AuditActor, action: PersonAction) -> None:
    person = Subject(SubjectKind.PERSON, link.membership_id, str(link.membership.user))
    details = {"provider": link.provider.name}
    add_audit_entry(link.organisation_id, who, action, subject=person, details=details)
