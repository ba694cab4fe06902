"""API tokens: created by a member for programs, shown once, stored as a hash, counted per minute in the
database.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import ClassVar

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind, Interface
from koppel.audit.services import AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.kit.encryption import Secret
from koppel.kit.errors import KoppelError
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.web.token_buckets import TooManyRequests
from koppel.organisations.access import allowed_networks
from koppel.organisations.access.memberships import active_memberships
from koppel.organisations.access.mfa import must_enrol_mfa
from koppel.organisations.audit_actions import TokenAction
from koppel.organisations.errors import Refused
from koppel.organisations.models import ApiToken, Membership
from koppel.organisations.roles import Actor, Permission, Role, least_privileged

TOKEN_PREFIX = "koppel_"  # noqa: S105 - the prefix by which a token is recognised
LIFETIME_DAYS = (30, 90, 180, 365)
TOKENS_MAX = 50
NAME_LENGTH_MAX = 100


class UnknownToken(KoppelError):
    """No such token, or it is revoked, has expired, or its owner is no member any more."""

    code = "token_invalid"
    status = HTTPStatus.UNAUTHORIZED
    headers: ClassVar[Mapping[str, str]] = {"WWW-Authenticate": "Bearer"}


def list_tokens(actor: Actor) -> list[ApiToken]:
    """Return tokens that are not revoked, newest first."""
    tokens = ApiToken.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    return list(tokens.filter(revoked_at=None).order_by("-pk"))


def create_token(
    actor: Actor, *, name: str, days: int, role: Role | None, read_only: bool
) -> tuple[ApiToken, Secret]:
    """Create a token for the actor. Its text cannot be shown again. Raises `Refused` with a sentence."""
    name = clean_text(name)
    if actor.token_id is not None:
        raise Refused(_("A token cannot create tokens. Sign in to create one."))
    if not name:
        raise Refused(_("Enter a name."), field="name")
    if days not in LIFETIME_DAYS:
        raise Refused(_("Choose a validity period."), field="days")
    if len(list_tokens(actor)) >= TOKENS_MAX:
        raise Refused(_("You have %s tokens. Revoke one that is no longer used.") % TOKENS_MAX)
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        name=name,
        hash=_hash(text),
        ends_with=text[-4:],
        role=role or "",
        read_only=read_only,
        expires_at=timezone.now() + timedelta(days=days),
    )
    details = {"role": token.role, "read_only": read_only, "expires_at": token.expires_at.isoformat()}
    subject = Subject(kind=SubjectKind.TOKEN, id=token.pk, name=name)
    add_audit_entry(
        actor.organisation_id, actor.audit, TokenAction.CREATED, subject=subject, details={"after": details}
    )
    return token, Secret(text)


def get_token(actor: Actor, token_id: int, membership_id: int) -> ApiToken:
    """Return a member's token that is not revoked. Raises `Refused`."""
    tokens = ApiToken.objects.for_actor(actor).filter(membership_id=membership_id, revoked_at=None)
    token = tokens.filter(pk=token_id).first()
    if token is None:
        raise Refused(_("This token was already revoked."))
    return token


def revoke_token(actor: Actor, token_id: int) -> None:
    """Revoke an own token, or any member's with the permission to manage people. Raises `Refused`."""
    token = ApiToken.objects.for_actor(actor).filter(pk=token_id, revoked_at=None).first()
    if token is None:
        raise Refused(_("This token was already revoked."))
    if token.membership_id != actor.membership_id:
        actor.require(Permission.MANAGE_PEOPLE)
    _revoke(token, actor.audit)


def count_tokens(user_id: int) -> int:
    """Return the number of a person's tokens that work, in all organisations."""
    with installation_scope("own tokens"):
        return _live_tokens(user_id).count()


def revoke_all_tokens(user_id: int, ip_address: str) -> int:
    """Revoke all tokens of a person who chose a new password, in every organisation. Return the number."""
    with installation_scope("own tokens"):
        rows = list(_live_tokens(user_id).select_related("membership__user"))
    for token in rows:
        with organisation_scope(token.organisation_id):
            person = token.membership.user
            _revoke(
                token,
                AuditActor(
                    kind=ActorKind.PERSON,
                    id=user_id,
                    name=str(person),
                    ip_address=ip_address,
                    interface=Interface.WEB,
                ),
            )
    return len(rows)


def count_own_tokens(actor: Actor, only_organisation: int | None) -> int:
    """Return the number of the person's tokens that work, in every organisation or in one only."""
    if only_organisation is None:
        return count_tokens(actor.user_id)
    return _live_tokens(actor.user_id).filter(organisation_id=only_organisation).count()


def revoke_own_tokens(actor: Actor, only_organisation: int | None) -> int:
    """Revoke all tokens of the person, in every organisation or in one only. Return the number."""
    if only_organisation is None:
        return revoke_all_tokens(actor.user_id, actor.ip_address)
    return revoke_tokens_of_members(actor, [actor.membership_id])


def revoke_tokens_of_members(actor: Actor, membership_ids: Iterable[int]) -> int:
    """Revoke all tokens of these members, whose sign-in has ended. Return the number."""
    tokens = ApiToken.objects.for_actor(actor).filter(membership_id__in=membership_ids, revoked_at=None)
    rows = list(tokens.filter(expires_at__gt=timezone.now()))
    for token in rows:
        _revoke(token, actor.audit)
    return len(rows)


def _live_tokens(user_id: int) -> "QuerySet[ApiToken]":
    tokens = ApiToken.objects.filter(membership__user_id=user_id, revoked_at=None)
    return tokens.filter(expires_at__gt=timezone.now())


def _revoke(token: ApiToken, by: AuditActor) -> None:
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    subject = Subject(kind=SubjectKind.TOKEN, id=token.pk, name=token.name)
    add_audit_entry(token.organisation_id, by, TokenAction.REVOKED, subject=subject)


def resolve_token_actor(text: str, ip_address: str) -> Actor:
    """Return the actor of a request with this token, and count the use. Raises `UnknownToken` and
    `TooManyRequests`.

    Runs in its own transaction: the count stays whatever happens to the request, and the row is locked only
    briefly.
    """
    with installation_scope("api token"):
        use = _count_use(text, ip_address)
    if use is None:
        raise UnknownToken
    token_id, count, minute = use
    if count > settings.API_REQUESTS_PER_MINUTE:
        raise TooManyRequests(max(1, 60 - int((timezone.now() - minute).total_seconds())))
    with installation_scope("api token"):
        token = ApiToken.objects.get(pk=token_id)
        membership = (
            active_memberships().select_related("organisation").filter(pk=token.membership_id).first()
        )
        must_enrol = membership is not None and must_enrol_mfa(membership)
    if membership is None:
        raise UnknownToken
    is_outside = not allowed_networks.allows(membership.organisation, ip_address)
    actor = _actor(token, membership, ip_address)
    return replace(actor, must_enrol_mfa=must_enrol, is_outside_networks=is_outside)


def _actor(token: ApiToken, membership: Membership, ip_address: str) -> Actor:
    member_role = Role(membership.role)
    return Actor(
        organisation_id=membership.organisation_id,
        membership_id=membership.pk,
        user_id=membership.user_id,
        name=str(membership.user),
        role=least_privileged(member_role, Role(token.role)) if token.role else member_role,
        ip_address=ip_address,
        interface=Interface.API,
        token_id=token.pk,
        token_name=token.name,
        read_only=token.read_only,
    )


def _count_use(text: str, ip_address: str) -> tuple[int, int, datetime] | None:
    """Return (token, requests in this minute, start of the minute) of a valid token."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE organisations_api_token SET last_used_at = now(), last_used_from = %s,"
            " used_in_minute = CASE WHEN minute = date_trunc('minute', "
            "now()) THEN used_in_minute + 1 ELSE 1 END,"
            " minute = date_trunc('minute', now())"
            " WHERE hash = %s AND revoked_at IS NULL AND expires_at > now() RETURNING id, used_in_minute, "
            "minute",
            [ip_address, _hash(text)],
        )
        return cursor.fetchone()  # type: ignore[no-any-return]


def _hash(text: str) -> bytes:
    """Hash with plain SHA-256: a token has 256 random bits, so a dictionary does not help."""
    return hashlib.sha256(text.encode()).digest()
