"""Whom an identity provider's answer signs in: the member who is linked to this subject at this issuer, and nobody else.

An e-mail address links nobody, whoever says that it is proved. An account that exists is linked by an act of its own, in a
session that its own password or passkey opened. The provider makes an account only where an invited address has none."""

import time
from dataclasses import dataclass

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Door
from koppel.audit.services import AuditActor, record
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations import invitations
from koppel.organisations.errors import Refused
from koppel.organisations.memberships import live_memberships
from koppel.organisations.models import Invitation, Membership, SignInProvider, SignInSubject, User
from koppel.organisations.oidc import Identity
from koppel.organisations.sign_in import actor_of
from koppel.organisations.signals import sign_in_linked
from koppel.organisations.single_sign_on import switched_on

UNLINKED_SECONDS = 30 * 60
"""How long a browser may wait with an identity that belongs to nobody yet."""


@dataclass(frozen=True)
class UnlinkedIdentity:
    """Whom a provider signed in while no account is linked to it. Kept in the browser's session until the person links it."""

    provider_id: int
    issuer: str
    subject: str
    email: str
    at: float

    @classmethod
    def of(cls, provider: SignInProvider, identity: Identity) -> "UnlinkedIdentity":
        return cls(provider.pk, provider.issuer, identity.subject, identity.email, time.time())

    def belongs_to(self, provider: SignInProvider) -> bool:
        is_fresh = 0 <= time.time() - self.at <= UNLINKED_SECONDS
        return is_fresh and (self.provider_id, self.issuer) == (provider.pk, provider.issuer)


def admit(provider: SignInProvider, identity: Identity, from_address: str) -> User | None:
    """The member whom this identity is linked to; somebody invited who has no account yet gets one. None: linked to nobody.

    Raises `Refused` with what stands in the way."""
    with organisation_scope(provider.organisation_id):
        return _linked(provider, identity) or _newcomer(provider, identity, from_address)


def link(user_id: int, provider: SignInProvider, identity: UnlinkedIdentity, from_address: str) -> None:
    """By an act of the person, in a session opened by their own proof. Raises `Refused`."""
    if not identity.belongs_to(provider):
        raise Refused(_("That sign-in took too long. Please try again."))
    actor = actor_of(user_id, provider.organisation_id, from_address, Door.SCREEN)
    if actor is None or actor.organisation_id != provider.organisation_id:
        raise Refused(
            _("You are not a member of this organisation. Ask an Administrator for an invitation, and accept it first.")
        )
    if actor.needs_second_step:
        raise Refused(_("This organisation requires a second step. Set it up first, then link the sign-in."))
    with switched_on(provider):
        membership = live_memberships().get(pk=actor.membership_id)
        links = SignInSubject.objects.filter(organisation_id=provider.organisation_id, issuer=identity.issuer)
        linked = links.filter(subject=identity.subject).first()
        if linked is not None and linked.membership_id == membership.pk:
            return
        if linked is not None:
            raise Refused(_("This sign-in is linked to somebody else's account already."))
        if links.filter(membership=membership).exists():
            raise Refused(_("Your account is linked to another person at this identity provider already."))
        _link(provider, identity.subject, membership, from_address)


def _linked(provider: SignInProvider, identity: Identity) -> User | None:
    links = SignInSubject.objects.filter(organisation_id=provider.organisation_id, issuer=provider.issuer)
    link = links.filter(provider=provider, subject=identity.subject).first()
    if link is None:
        return None
    membership = live_memberships().filter(pk=link.membership_id).first()
    if membership is None:
        raise Refused(_("Your access to this organisation has ended."))
    _note_own(membership)
    return membership.user


def _note_own(membership: Membership) -> None:
    """Somebody who works here alone and comes back through the provider has made it their own: another organisation that they
    join later must not weaken it. Where there are others, the provider's word changes nothing."""
    if membership.joined_at is not None:
        return
    with installation_scope("only membership"):
        if not Membership.objects.filter(user_id=membership.user_id).exclude(pk=membership.pk).exists():
            Membership.objects.filter(pk=membership.pk, joined_at=None).update(joined_at=Now())


def _newcomer(provider: SignInProvider, identity: Identity, from_address: str) -> User | None:
    """Somebody whose invited address has no account: nobody else is concerned, so the organisation's word is enough."""
    if not identity.email or invitations.is_known(identity.email):
        # A second tab finds the person that the first one has just made.
        return _linked(provider, identity)
    # First sign-ins of an organisation go one after the other.
    SignInProvider.objects.select_for_update().get(pk=provider.pk)
    return _linked(provider, identity) or _invited(provider, identity, from_address)


def _invited(provider: SignInProvider, identity: Identity, from_address: str) -> User | None:
    own = invitations.open_invitations(provider.organisation_id).select_related("invited_by__user", "organisation")
    # Who accepts by the link of the mail at this instant has an account when the lock is ours.
    invitation = own.select_for_update(of=("self",)).filter(email__iexact=identity.email).first()
    if invitation is None or invitation.has_lapsed or not invitations.still_holds(invitation):
        return None
    if refusal := invitations.refusal_of(invitation):
        raise Refused(refusal)
    user = _new_user(invitation, identity)
    if user is None:
        return None
    membership = invitations.join(invitation, user, from_address, joined_at=None)
    _link(provider, identity.subject, membership, from_address)
    return user


def _new_user(invitation: Invitation, identity: Identity) -> User | None:
    """None when the account came to be at this instant, by another organisation."""
    name = (identity.name or invitation.name or invitation.email)[:200]
    if invitations.is_known(invitation.email):
        return None
    try:
        with transaction.atomic():
            return User.objects.create(
                email=invitation.email, name=name, language=invitation.language, password=make_password(None)
            )
    except IntegrityError:
        return None


def _link(provider: SignInProvider, subject: str, membership: Membership, from_address: str) -> None:
    SignInSubject.objects.create(
        organisation_id=provider.organisation_id,
        provider=provider,
        issuer=provider.issuer,
        subject=subject,
        membership=membership,
    )
    who = AuditActor(ActorKind.PERSON, membership.user_id, str(membership.user), from_address, Door.SCREEN)
    person = ("person", membership.pk, str(membership.user))
    record(provider.organisation_id, who, "person.linked", subject=person, details={"provider": provider.name})
    sign_in_linked.send(SignInSubject, membership=membership, provider=provider)
