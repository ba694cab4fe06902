"""Sign-in through the organisation's own identity provider.

The provider vouches for people of its organisation and for nothing else: the session that it opens acts in that organisation
only, and cannot touch what proves the person elsewhere (password, second step). Somebody is known by the provider's lasting
subject; an address counts once, to link them, and only when the provider says that it is proved."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Door
from koppel.audit.services import AuditActor, record
from koppel.kit import http
from koppel.kit.secrets import Secret
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations import invitations, oidc
from koppel.organisations.errors import Refused
from koppel.organisations.models import Invitation, Organisation, SignInProvider, SignInSubject, User
from koppel.organisations.oidc import Attempt, Client, Identity, ProviderRefused
from koppel.organisations.policy import Actor, Permission
from koppel.organisations.sealing import provider_place, seal, unseal
from koppel.organisations.sessions import end_vouched_sessions
from koppel.organisations.sign_in import live_memberships

SENTENCES = {
    "no_discovery": lambda: _(
        "The identity provider does not describe itself at this address (OpenID Connect discovery)."
    ),
    "other_issuer": lambda: _("The identity provider calls itself by another address than the one given here."),
    "not_encrypted": lambda: _("The identity provider names an address that is not encrypted."),
    "unreachable": lambda: _("The identity provider cannot be reached."),
    "no_keys": lambda: _("The identity provider publishes no keys."),
    "client_unknown": lambda: _("The identity provider does not know this client id, or the secret is not its."),
    "strange_answer": lambda: _("The identity provider answers in a way that Koppel does not know."),
    "code_refused": lambda: _("The identity provider refused the sign-in. Please try again."),
    "no_id_token": lambda: _("The identity provider sent no proof of who you are."),
    "token_refused": lambda: _("The identity provider's proof does not hold. Please try again."),
    "other_nonce": lambda: _("The identity provider's proof belongs to another sign-in. Please try again."),
}


@dataclass(frozen=True)
class Configured:
    """As the form fills it in. An empty secret keeps the one that is stored."""

    name: str
    issuer: str
    client_id: str
    client_secret: str


def sentence_of(refusal: ProviderRefused) -> str:
    return SENTENCES[refusal.code]()


def redirect_uri() -> str:
    """To be registered at the provider."""
    return settings.PUBLIC_URL + reverse("sign_in_callback")


def provider_of(organisation_id: int) -> SignInProvider | None:
    """Within the organisation's scope."""
    return SignInProvider.objects.filter(organisation_id=organisation_id).first()


def configure(actor: Actor, wanted: Configured) -> SignInProvider:
    """Store the provider, switched off until a test holds. Raises `Refused`."""
    actor.require(Permission.ORGANISATION)
    before = provider_of(actor.organisation_id)
    issuer = wanted.issuer.strip().rstrip("/")
    _refuse_address(issuer)
    name, client_id = wanted.name.strip()[:100], wanted.client_id.strip()[:300]
    if not name or not client_id or not (wanted.client_secret or before):
        raise Refused(_("Name, address, client id and secret are needed."))
    one = before or SignInProvider(organisation_id=actor.organisation_id)
    moved = before is not None and before.issuer != issuer
    one.name, one.issuer, one.client_id, one.is_active = name, issuer, client_id, False
    if wanted.client_secret:
        one.client_secret = seal(wanted.client_secret.encode(), provider_place(actor.organisation_id))
    one.save()
    if moved:
        # Another provider's subjects are other people, whatever they are called.
        SignInSubject.objects.filter(organisation_id=actor.organisation_id, provider=one).delete()
    ended = {"sessions_ended": end_vouched_sessions(actor.organisation_id)} if moved else {}
    _record(actor, one, "sign_in_provider.changed", after={"issuer": issuer, "client_id": client_id}, **ended)
    return one


def test(actor: Actor) -> None:
    """Ask the provider whether it knows us, and switch it on when it does. Outside any transaction. Raises `Refused`."""
    actor.require(Permission.ORGANISATION)
    with organisation_scope(actor.organisation_id):
        one = provider_of(actor.organisation_id)
    if one is None:
        raise Refused(_("Fill in the identity provider first."))
    client = client_of(one)
    try:
        http.run(lambda session: oidc.knows_us(session, client))
    except ProviderRefused as refusal:
        raise Refused(sentence_of(refusal)) from None
    with organisation_scope(actor.organisation_id):
        SignInProvider.objects.filter(pk=one.pk).update(is_active=True)
        _record(actor, one, "sign_in_provider.switched_on")


def switch_off(actor: Actor) -> int:
    """Nobody signs in this way any more, and the sessions that began so end. Links stay for when it is switched on again.
    How many sessions ended, the actor's own among them."""
    actor.require(Permission.ORGANISATION)
    one = provider_of(actor.organisation_id)
    if one is None:
        return 0
    SignInProvider.objects.filter(pk=one.pk).update(is_active=False)
    count = end_vouched_sessions(actor.organisation_id)
    _record(actor, one, "sign_in_provider.switched_off", sessions_ended=count)
    return count


def active_provider(provider_id: int) -> SignInProvider | None:
    with installation_scope("sign-in"):
        return SignInProvider.objects.filter(pk=provider_id, is_active=True).first()


@contextmanager
def switched_on(one: SignInProvider) -> Iterator[None]:
    """The provider stays as it is for the length of the block, so that no session begins beside its end. Raises `Refused`."""
    with organisation_scope(one.organisation_id):
        same = SignInProvider.objects.select_for_update(no_key=True).filter(
            pk=one.pk, issuer=one.issuer, is_active=True
        )
        if same.first() is None:
            raise Refused(_("This organisation has no identity provider."))
        yield


def provider_for(email: str) -> SignInProvider | None:
    """The provider of the organisation whose rule names this address's domain. Tells nothing about the person."""
    domain = email.rpartition("@")[2].strip().lower()
    if not domain:
        return None
    with installation_scope("sign-in"):
        found = Organisation.objects.filter(email_domains__contains=[domain]).values_list("pk", flat=True)
        return SignInProvider.objects.filter(organisation_id__in=list(found), is_active=True).order_by("pk").first()


def client_of(one: SignInProvider) -> Client:
    secret = Secret(unseal(bytes(one.client_secret), provider_place(one.organisation_id)).decode())
    return Client(one.issuer, one.client_id, secret, redirect_uri())


def go(one: SignInProvider, attempt: Attempt) -> str:
    """The address to send the person to. Raises `Refused`."""
    client = client_of(one)
    try:
        endpoints = http.run(lambda session: oidc.discover(session, client.issuer))
    except ProviderRefused as refusal:
        raise Refused(sentence_of(refusal)) from None
    return oidc.address_to_go(endpoints, client, attempt)


def come_back(one: SignInProvider, attempt: Attempt, code: str, from_address: str) -> User:
    """Who signed in, as a live member of the provider's organisation. Raises `Refused` with what stands in the way."""
    client = client_of(one)
    try:
        identity = http.run(lambda session: oidc.identity_behind(session, client, attempt, code))
    except ProviderRefused as refusal:
        raise Refused(sentence_of(refusal)) from None
    return admit(one, identity, from_address)


def admit(one: SignInProvider, identity: Identity, from_address: str) -> User:
    """The member whom this identity is, linked at the first time. Raises `Refused`."""
    with organisation_scope(one.organisation_id):
        return _known(one, identity) or _first_time(one, identity, from_address)


def _known(one: SignInProvider, identity: Identity) -> User | None:
    known = SignInSubject.objects.filter(provider=one, subject=identity.subject).first()
    if known is None:
        return None
    membership = live_memberships().filter(pk=known.membership_id).first()
    if membership is None:
        raise Refused(_("Your access to this organisation has ended."))
    return membership.user


def _first_time(one: SignInProvider, identity: Identity, from_address: str) -> User:
    if not identity.email:
        raise Refused(
            _("Your identity provider does not say that your e-mail address is proved, so you cannot be recognised.")
        )
    # First sign-ins of an organisation go one after the other: a second tab finds the person linked by the first.
    SignInProvider.objects.select_for_update().get(pk=one.pk)
    return _known(one, identity) or _link(one, identity, from_address)


def _link(one: SignInProvider, identity: Identity, from_address: str) -> User:
    open_ones = invitations.open_invitations(one.organisation_id).select_related("invited_by__user", "organisation")
    # Before members are looked at: who accepts by the link of the mail at this instant is a member when the lock is ours.
    asked = open_ones.select_for_update(of=("self",)).filter(email__iexact=identity.email).first()
    linked = SignInSubject.objects.filter(organisation_id=one.organisation_id).values("membership_id")
    own = live_memberships().filter(organisation_id=one.organisation_id, user__email__iexact=identity.email)
    membership = own.exclude(pk__in=linked).first()
    if membership is None:
        if asked is None or asked.has_lapsed or own.exists() or not invitations.still_holds(asked):
            raise Refused(_("You are not a member of this organisation. Ask an Administrator to invite you."))
        if refusal := invitations.refusal_of(asked):
            raise Refused(refusal)
        membership = invitations.join(asked, _invited(asked, identity), from_address)
    SignInSubject.objects.create(
        organisation_id=one.organisation_id, provider=one, subject=identity.subject, membership=membership
    )
    who = AuditActor(ActorKind.PERSON, membership.user_id, str(membership.user), from_address, Door.SCREEN)
    subject = ("person", membership.pk, str(membership.user))
    record(one.organisation_id, who, "person.linked", subject=subject, details={"provider": one.name})
    return membership.user


def _invited(asked: Invitation, identity: Identity) -> User:
    """The account of who is invited, made when there is none: once, also when two organisations make it at one instant."""
    name = (identity.name or asked.name or asked.email)[:200]
    fresh = {"email": asked.email, "name": name, "language": asked.language, "password": make_password(None)}
    return User.objects.get_or_create(email__iexact=asked.email, defaults=fresh)[0]


def _refuse_address(issuer: str) -> None:
    """Encrypted, unless Koppel itself is not: then this is somebody's own machine."""
    schemes = ["https"] if settings.PUBLIC_URL.startswith("https://") else ["https", "http"]
    try:
        URLValidator(schemes=schemes)(issuer.replace("//localhost", "//localhost.localdomain"))
    except ValidationError:
        raise Refused(_("“%s” is not an address of an identity provider. It begins with https://.") % issuer) from None
    if urlsplit(issuer).username or urlsplit(issuer).query:
        raise Refused(_("“%s” is not an address of an identity provider. It begins with https://.") % issuer)


def _record(actor: Actor, one: SignInProvider, act: str, **details: object) -> None:
    record(actor.organisation_id, actor.audit, act, subject=("sign_in_provider", one.pk, one.name), details=details)
