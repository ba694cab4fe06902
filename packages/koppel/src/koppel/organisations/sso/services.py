"""Sign-in through the organisation's own identity provider.

The provider vouches for people of its organisation and for nothing else: the session that it opens acts in that organisation
only, and cannot touch what proves the person elsewhere (password, second step). Each provider has a redirect address of its
own, so that one provider's answer is never taken for another's. Whom an answer signs in: `sso.links`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import AuditEntry
from koppel.audit.services import AuditActor, record
from koppel.kit import quarantine
from koppel.kit.encryption import Secret
from koppel.kit.http import client as http_client
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import domains
from koppel.organisations.access.sessions import end_sso_sessions
from koppel.organisations.audit_actions import IdentityProviderAction, PersonAction
from koppel.organisations.email_domains import domain_of
from koppel.organisations.encryption import decrypt, encrypt, provider_secret_aad
from koppel.organisations.errors import Refused
from koppel.organisations.models import IdentityProvider
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.sso import oidc
from koppel.organisations.sso.oidc import Answer, Client, Identity, LoginAttempt, ProviderRefused

MESSAGES = {
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
    "other_provider": lambda: _(
        "This answer belongs to a sign-in at another identity provider, so nobody was signed in. Please begin again."
    ),
    "unnamed_answer": lambda: _(
        "The identity provider's answer does not say whose it is, although the provider announces that. Please try again."
    ),
    "lapsed": lambda: _("That sign-in took too long. Please try again."),
}


REFUSED_NOTED_EVERY = timedelta(minutes=10)


class AnswerRefused(Refused):
    """An identity provider's answer that opens nothing. `code` is a word of `MESSAGES`."""

    def __init__(self, code: str) -> None:
        super().__init__(MESSAGES[code]())
        self.code = code


@dataclass(frozen=True)
class ProviderForm:
    """As the form fills it in. An empty secret keeps the one that is stored."""

    name: str
    issuer: str
    client_id: str
    client_secret: str


def message_of(refusal: ProviderRefused) -> str:
    return MESSAGES[refusal.code]()


def redirect_uri(provider: IdentityProvider) -> str:
    """To be registered at the provider. No other provider's answers are accepted there."""
    return settings.PUBLIC_URL + reverse("sign_in_callback", args=[provider.pk])


def provider_of(organisation_id: int) -> IdentityProvider | None:
    """Within the organisation's scope."""
    return IdentityProvider.objects.filter(organisation_id=organisation_id).first()


def prepare(actor: Actor) -> IdentityProvider:
    """A provider of which nothing is known yet, so that its redirect address can be registered before the
    form is filled in."""
    actor.require(Permission.MANAGE_ORGANISATION)
    empty = encrypt(b"", provider_secret_aad(actor.organisation_id))
    provider, is_new = IdentityProvider.objects.get_or_create(
        organisation_id=actor.organisation_id, defaults={"client_secret": empty}
    )
    if is_new:
        _record(actor, provider, IdentityProviderAction.PREPARED)
    return provider


def configure(actor: Actor, form: ProviderForm) -> IdentityProvider:
    """Store the provider, switched off until a test holds. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    before = provider_of(actor.organisation_id)
    issuer = form.issuer.strip().rstrip("/")
    _validate_issuer(issuer)
    name, client_id = form.name.strip()[:100], form.client_id.strip()[:300]
    if not name or not client_id or not (form.client_secret or (before and before.is_complete)):
        raise Refused(_("Name, address, client id and secret are needed."))
    provider = before or IdentityProvider(organisation_id=actor.organisation_id)
    issuer_changed = before is not None and before.is_complete and before.issuer != issuer
    provider.name, provider.issuer, provider.client_id, provider.is_active = name, issuer, client_id, False
    if form.client_secret:
        provider.client_secret = encrypt(form.client_secret.encode(), provider_secret_aad(actor.organisation_id))
    provider.save()
    # Links stay with the issuer that they were made at: another provider's subjects are other people.
    ended = {"sessions_ended": end_sso_sessions(actor.organisation_id)} if issuer_changed else {}
    _record(actor, provider, IdentityProviderAction.CHANGED, after={"issuer": issuer, "client_id": client_id}, **ended)
    return provider


def test(actor: Actor) -> None:
    """Ask the provider whether it knows us, and switch it on when it does. Outside any transaction. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    with organisation_scope(actor.organisation_id):
        provider = provider_of(actor.organisation_id)
    if provider is None or not provider.is_complete:
        raise Refused(_("Fill in the identity provider first."))
    client = client_of(provider)
    try:
        http_client.run(lambda session: oidc.verify_client(session, client))
    except ProviderRefused as refusal:
        raise Refused(message_of(refusal)) from None
    with organisation_scope(actor.organisation_id):
        IdentityProvider.objects.filter(pk=provider.pk).update(is_active=True)
        _record(actor, provider, IdentityProviderAction.ENABLED)


def switch_off(actor: Actor) -> int:
    """Nobody signs in this way any more, and the sessions that began so end. Links stay for when it is switched on again.
    How many sessions ended, the actor's own among them."""
    actor.require(Permission.MANAGE_ORGANISATION)
    provider = provider_of(actor.organisation_id)
    if provider is None:
        return 0
    IdentityProvider.objects.filter(pk=provider.pk).update(is_active=False)
    count = end_sso_sessions(actor.organisation_id)
    _record(actor, provider, IdentityProviderAction.DISABLED, sessions_ended=count)
    return count


def active_provider(provider_id: int) -> IdentityProvider | None:
    with installation_scope("sign-in"):
        providers = IdentityProvider.objects.filter(pk=provider_id, is_active=True)
        return providers.select_related("organisation").first()


@contextmanager
def switched_on(provider: IdentityProvider) -> Iterator[None]:
    """The provider stays as it is for the length of the block, so that no session begins beside its end. Raises `Refused`."""
    with organisation_scope(provider.organisation_id):
        current = IdentityProvider.objects.select_for_update(no_key=True).filter(
            pk=provider.pk, issuer=provider.issuer, is_active=True
        )
        if current.first() is None:
            raise Refused(_("This organisation has no identity provider."))
        yield


def provider_for(email: str) -> IdentityProvider | None:
    """The provider of the organisation that this address's domain belongs to. Tells nothing about the person."""
    organisation_id = domains.organisation_of(domain_of(email))
    if organisation_id is None:
        return None
    with installation_scope("sign-in"):
        providers = IdentityProvider.objects.filter(organisation_id=organisation_id, is_active=True)
        return providers.select_related("organisation").first()


def client_of(provider: IdentityProvider) -> Client:
    secret = Secret(decrypt(bytes(provider.client_secret), provider_secret_aad(provider.organisation_id)).decode())
    return Client(provider.issuer, provider.client_id, secret, redirect_uri(provider))


def authorization_url(provider: IdentityProvider, attempt: LoginAttempt) -> str:
    """The address to send the person to. Raises `Refused` or `Quarantined`."""
    quarantine.refuse()
    client = client_of(provider)
    try:
        endpoints = http_client.run(lambda session: oidc.discover(session, client.issuer))
    except ProviderRefused as refusal:
        raise Refused(message_of(refusal)) from None
    return oidc.authorization_url(endpoints, client, attempt)


def identity_of(provider: IdentityProvider, attempt: LoginAttempt, answer: Answer) -> Identity:
    """Whom the provider signed in. Raises `AnswerRefused` with what stands in the way."""
    if attempt.provider_id != provider.pk or attempt.issuer != provider.issuer:
        raise AnswerRefused("other_provider")
    if attempt.has_lapsed:
        raise AnswerRefused("lapsed")
    if not answer.code:
        raise AnswerRefused("code_refused")
    client = client_of(provider)
    try:
        return http_client.run(lambda session: oidc.exchange_code(session, client, attempt, answer))
    except ProviderRefused as refusal:
        raise AnswerRefused(refusal.code) from None


def note_refused(provider_ids: set[int], reason: str, audit_actor: AuditActor) -> None:
    """An answer that opened nothing, in the audit log of the organisations whose identity providers it concerns: once in ten
    minutes for each, for anybody can bring such answers, as many as they like."""
    with installation_scope("sign-in refused"):
        concerned = list(IdentityProvider.objects.filter(pk__in=provider_ids))
    for provider in concerned:
        with organisation_scope(provider.organisation_id):
            # Answers that come at the same moment wait here for each other.
            IdentityProvider.objects.select_for_update(no_key=True).filter(pk=provider.pk).first()
            noted = AuditEntry.objects.filter(
                organisation_id=provider.organisation_id, action=PersonAction.SIGN_IN_REFUSED, subject_kind="identity_provider",
                subject_id=provider.pk, at__gt=timezone.now() - REFUSED_NOTED_EVERY,
            )  # fmt: skip
            if noted.exists():
                continue
            subject = ("identity_provider", provider.pk, provider.name)
            record(
                provider.organisation_id,
                audit_actor,
                PersonAction.SIGN_IN_REFUSED,
                subject=subject,
                details={"reason": reason},
            )


def _validate_issuer(issuer: str) -> None:
    """Encrypted, unless Koppel itself is not: then this is somebody's own machine."""
    schemes = ["https"] if settings.PUBLIC_URL.startswith("https://") else ["https", "http"]
    try:
        URLValidator(schemes=schemes)(issuer.replace("//localhost", "//localhost.localdomain"))
    except ValidationError:
        raise Refused(_("“%s” is not an address of an identity provider. It begins with https://.") % issuer) from None
    if urlsplit(issuer).username or urlsplit(issuer).query:
        raise Refused(_("“%s” is not an address of an identity provider. It begins with https://.") % issuer)


def _record(actor: Actor, provider: IdentityProvider, action: IdentityProviderAction, **details: object) -> None:
    record(
        actor.organisation_id,
        actor.audit,
        action,
        subject=("identity_provider", provider.pk, provider.name),
        details=details,
    )
