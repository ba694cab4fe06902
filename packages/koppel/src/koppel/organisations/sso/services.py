"""Sign-in through the organisation's own identity provider.

The provider vouches for people of its organisation and for nothing else: its session acts in that
organisation only, and cannot change the person's credentials (password, second step). Each provider has its
own redirect address, so that one provider's response is never accepted for another. `sso.links` decides which
account signs in.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import AuditEntry
from koppel.audit.services import AuditActor, add_actor_entry, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit import quarantine
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import decrypt_column, encrypt_column
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.access import domain_owners
from koppel.organisations.access.api_tokens import revoke_tokens_of_members
from koppel.organisations.access.sessions import end_sso_sessions
from koppel.organisations.access.sso_requirement import set_sso_requirement
from koppel.organisations.audit_actions import IdentityProviderAction, PersonAction
from koppel.organisations.domain_names import domain_of
from koppel.organisations.errors import Refused
from koppel.organisations.models import FederatedIdentity, IdentityProvider
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.sso import calls, oidc
from koppel.organisations.sso.inputs import ProviderInput
from koppel.organisations.sso.oidc import (
    AuthorisationResponse,
    Client,
    LoginAttempt,
    ProviderRefused,
    TokenIdentity,
)

MESSAGES = {
    "no_discovery": lambda: _("No configuration found at this address (OpenID Connect discovery)."),
    "other_issuer": lambda: _("The identity provider uses a different address from the one entered here."),
    "not_encrypted": lambda: _("The identity provider uses an address that is not encrypted."),
    "unreachable": lambda: _("The identity provider cannot be reached."),
    "address_not_allowed": lambda: _(
        "The identity provider's address is not public. The operator can allow its network."
    ),
    "busy": lambda: _("The identity provider answers slowly. Please try again in a minute."),
    "no_keys": lambda: _("The identity provider publishes no keys."),
    "client_unknown": lambda: _("The identity provider does not accept this client id or secret."),
    "invalid_response": lambda: _("Koppel cannot read the identity provider's answer."),
    "code_refused": lambda: _("The identity provider refused the sign-in. Please try again."),
    "no_id_token": lambda: _("The identity provider sent no proof of your identity."),
    "token_refused": lambda: _("The identity provider's proof is not valid. Please try again."),
    "other_nonce": lambda: _("The identity provider's proof belongs to another sign-in. Please try again."),
    "other_provider": lambda: _(
        "This answer belongs to another identity provider. You were not signed in. Please start again."
    ),
    "issuer_missing": lambda: _("The identity provider's answer does not name its issuer. Please try again."),
    "no_auth_time": lambda: _(
        "The identity provider does not say when you signed in (auth_time), so Koppel cannot accept this "
        "sign-in for sensitive settings. Sign in with your own password or passkey, or have auth_time added "
        "at the provider."
    ),
    "old_sign_in": lambda: _(
        "The identity provider did not ask you to sign in again. Sign out there, then try again."
    ),
    "lapsed": lambda: _("That sign-in took too long. Please try again."),
}


REFUSAL_AUDIT_INTERVAL = timedelta(minutes=10)


class AuthorizationRefused(Refused):
    """A refused response of an identity provider. `code` is a key of `MESSAGES`."""

    def __init__(self, code: str) -> None:
        super().__init__(MESSAGES[code]())
        self.code = code


def message_of(refusal: ProviderRefused) -> str:
    return MESSAGES[refusal.code]()


def redirect_uri(provider: IdentityProvider) -> str:
    """Return the address to register at the provider. It accepts no other provider's responses."""
    return settings.PUBLIC_URL + reverse("sign_in_redirect_address", args=[provider.pk])


def provider_of(organisation_id: int) -> IdentityProvider | None:
    """Return the organisation's provider, within its scope."""
    return IdentityProvider.objects.in_organisation(organisation_id).first()


def prepare(actor: Actor) -> IdentityProvider:
    """Create an empty provider, so that its redirect address can be registered before the form is filled
    in.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    provider, is_new = IdentityProvider.objects.get_or_create(organisation_id=actor.organisation_id)
    if is_new:
        add_actor_entry(actor, IdentityProviderAction.PREPARED, _subject(provider))
    return provider


def configure(actor: Actor, provider_input: ProviderInput) -> IdentityProvider:
    """Store the provider, switched off until it is tested. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    before = (
        IdentityProvider.objects.select_for_update(no_key=True).in_organisation(actor.organisation_id).first()
    )
    issuer = provider_input.issuer.strip().rstrip("/")
    _validate_issuer(issuer)
    name, client_id = provider_input.name.strip()[:100], provider_input.client_id.strip()[:300]
    has_secret = bool(provider_input.client_secret or (before and before.is_complete))
    for field, value in (("name", name), ("client_id", client_id), ("client_secret", has_secret)):
        if not value:
            raise Refused(_("Name, address, client id and secret are required."), field=field)
    provider = before or IdentityProvider(organisation_id=actor.organisation_id)
    issuer_changed = before is not None and before.is_complete and before.issuer != issuer
    provider.name, provider.issuer, provider.client_id, provider.is_active = name, issuer, client_id, False
    provider.revision += 1
    provider.save()
    if provider_input.client_secret:
        provider.client_secret = encrypt_column(
            provider, "client_secret", Secret(provider_input.client_secret)
        )
        provider.save(update_fields=["client_secret"])
    # Links stay with the issuer that they were made at: another provider's subjects are other people.
    ended = {"sessions_ended": end_sso_sessions(actor.organisation_id)} if issuer_changed else {}
    add_actor_entry(
        actor,
        IdentityProviderAction.CHANGED,
        _subject(provider),
        after={"issuer": issuer, "client_id": client_id},
        **ended,
    )
    return provider


def test_and_enable_provider(actor: Actor) -> None:
    """Test the provider, and switch it on when it works. Outside any transaction. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    with organisation_scope(actor.organisation_id):
        provider = provider_of(actor.organisation_id)
    if provider is None or not provider.is_complete:
        raise Refused(_("Complete the identity provider settings first."))
    client = client_of(provider)
    try:
        calls.verify_client(provider, client)
    except ProviderRefused as refusal:
        raise Refused(message_of(refusal)) from None
    with organisation_scope(actor.organisation_id):
        _enable_tested(provider)
        add_actor_entry(actor, IdentityProviderAction.ENABLED, _subject(provider))


def _enable_tested(tested: IdentityProvider) -> None:
    """Switch the provider on, unless it was changed or switched off during its test. Raises `Refused`."""
    unchanged = IdentityProvider.objects.filter(pk=tested.pk, revision=tested.revision)
    if not unchanged.update(is_active=True):
        raise Refused(_("The identity provider was changed or switched off during the test. Test it again."))


def disable_provider(actor: Actor) -> int:
    """Switch the provider off and end the sessions that it began. Links stay.

    Return the number of sessions, the actor's own among them.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    provider = provider_of(actor.organisation_id)
    if provider is None:
        return 0
    IdentityProvider.objects.filter(pk=provider.pk).update(is_active=False, revision=F("revision") + 1)
    count = end_sso_sessions(actor.organisation_id)
    tokens = revoke_tokens_of_members(actor, _members_without_password(provider))
    add_actor_entry(
        actor,
        IdentityProviderAction.DISABLED,
        _subject(provider),
        sessions_ended=count,
        tokens_revoked=tokens,
    )
    set_sso_requirement(actor, required=False)
    return count


def require_sso(actor: Actor, sso_organisation_id: int | None) -> None:
    """Let nothing but the identity provider open the organisation from now on.

    `sso_organisation_id`: the organisation whose provider opened the actor's session. Raises `Refused` unless
    it is this one: an Administrator whom the provider does not let in would be locked out.
    """
    actor.require(Permission.MANAGE_ORGANISATION)
    provider = provider_of(actor.organisation_id)
    if provider is None or not provider.is_active:
        raise Refused(_("Test the identity provider and switch it on first."))
    if sso_organisation_id != actor.organisation_id:
        raise Refused(
            _("Sign in with %s first: that shows that it lets you in.") % provider.name,
        )
    set_sso_requirement(actor, required=True)


def allow_other_sign_ins(actor: Actor) -> None:
    """Let members sign in with their own passwords and passkeys again."""
    actor.require(Permission.MANAGE_ORGANISATION)
    set_sso_requirement(actor, required=False)


def _members_without_password(provider: IdentityProvider) -> list[int]:
    """Return the ids of members who can sign in through the provider only: they chose no password."""
    linked = FederatedIdentity.objects.in_organisation(provider.organisation_id).filter(provider=provider)
    unusable = linked.filter(membership__user__password__startswith=UNUSABLE_PASSWORD_PREFIX)
    return list(unusable.values_list("membership_id", flat=True))


def active_provider(provider_id: int) -> IdentityProvider | None:
    with installation_scope("sign-in"):
        providers = IdentityProvider.objects.filter(pk=provider_id, is_active=True)
        return providers.select_related("organisation").first()


@contextmanager
def locked_active_provider(provider: IdentityProvider) -> Iterator[None]:
    """Lock the provider within the block, so that no session begins while it is being disabled. Raises
    `Refused`.
    """
    with organisation_scope(provider.organisation_id):
        current = IdentityProvider.objects.select_for_update(no_key=True).filter(
            pk=provider.pk, issuer=provider.issuer, is_active=True
        )
        if current.first() is None:
            raise Refused(_("This organisation has no identity provider."))
        yield


def provider_for(email: str) -> IdentityProvider | None:
    """Return the provider of the organisation of this address's domain. Reveals nothing about the person."""
    organisation_id = domain_owners.organisation_of(domain_of(email))
    if organisation_id is None:
        return None
    with installation_scope("sign-in"):
        providers = IdentityProvider.objects.in_organisation(organisation_id).filter(is_active=True)
        return providers.select_related("organisation").first()


def client_of(provider: IdentityProvider) -> Client:
    secret = decrypt_column(provider, "client_secret")
    return Client(
        issuer=provider.issuer,
        client_id=provider.client_id,
        client_secret=secret,
        redirect_uri=redirect_uri(provider),
    )


def authorization_url(provider: IdentityProvider, attempt: LoginAttempt) -> str:
    """Return the address at which the person signs in. Raises `Refused` or `Quarantined`."""
    quarantine.refuse()
    client = client_of(provider)
    try:
        endpoints = calls.fetch_endpoints(provider)
    except ProviderRefused as refusal:
        raise Refused(message_of(refusal)) from None
    return oidc.authorization_url(endpoints, client, attempt)


def identity_of(
    provider: IdentityProvider, attempt: LoginAttempt, response: AuthorisationResponse
) -> TokenIdentity:
    """Return the identity that the provider authenticated. Raises `AuthorizationRefused` with the reason."""
    if attempt.provider_id != provider.pk or attempt.issuer != provider.issuer:
        raise AuthorizationRefused("other_provider")
    if attempt.has_lapsed:
        raise AuthorizationRefused("lapsed")
    if not response.code:
        raise AuthorizationRefused("code_refused")
    client = client_of(provider)
    try:
        return calls.exchange_code(provider, client, attempt, response)
    except ProviderRefused as refusal:
        raise AuthorizationRefused(refusal.code) from None


def audit_refused_sign_in(provider_ids: set[int], reason: str, audit_actor: AuditActor) -> None:
    """Audit a refused response in the organisations whose identity providers it concerns: once in ten minutes
    for each, because an attacker can send any number.
    """
    with installation_scope("sign-in refused"):
        concerned = list(IdentityProvider.objects.filter(pk__in=provider_ids))
    for provider in concerned:
        with organisation_scope(provider.organisation_id):
            # Answers that come at the same moment wait here for each other.
            IdentityProvider.objects.select_for_update(no_key=True).filter(pk=provider.pk).first()
            noted = AuditEntry.objects.filter(
                organisation_id=provider.organisation_id,
                action=PersonAction.SIGN_IN_REFUSED,
                subject_kind=SubjectKind.IDENTITY_PROVIDER,
                subject_id=provider.pk,
                at__gt=timezone.now() - REFUSAL_AUDIT_INTERVAL,
            )
            if noted.exists():
                continue
            subject = Subject(kind=SubjectKind.IDENTITY_PROVIDER, id=provider.pk, name=provider.name)
            add_audit_entry(
                provider.organisation_id,
                audit_actor,
                PersonAction.SIGN_IN_REFUSED,
                subject=subject,
                details={"reason": reason},
            )


def _validate_issuer(issuer: str) -> None:
    """Require https, unless Koppel itself is without: then it runs on a developer's machine."""
    schemes = ["https"] if settings.PUBLIC_URL.startswith("https://") else ["https", "http"]
    try:
        URLValidator(schemes=schemes)(issuer.replace("//localhost", "//localhost.localdomain"))
    except ValidationError:
        raise Refused(
            _("“%s” is not a valid address. It must start with https://.") % issuer,
            field="issuer",
        ) from None
    if urlsplit(issuer).username or urlsplit(issuer).query:
        raise Refused(
            _("“%s” is not a valid address. It must start with https://.") % issuer,
            field="issuer",
        )


def _subject(provider: IdentityProvider) -> Subject:
    return Subject(kind=SubjectKind.IDENTITY_PROVIDER, id=provider.pk, name=provider.name)
