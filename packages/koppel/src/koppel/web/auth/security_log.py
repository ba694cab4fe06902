"""Audit entries of authentication: failures, throttles, resets, second steps.

Actions that anyone can cause are counted within ten minutes (`record_repeatable`), so that they cannot flood
the log. An action about a person is in the log of each organisation in which they are a member; an action
without a known person is in the log of the installation.
"""

import time
from typing import Any

import structlog
from allauth.mfa.models import Authenticator
from django.http import HttpRequest

from koppel.audit.models import ActorKind, Interface
from koppel.audit.occurrences import record_repeatable
from koppel.audit.services import AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import INSTALLATION, organisation_scope
from koppel.kit.web.client_ip import client_ip
from koppel.organisations.access.unauthenticated_actions import (
    list_active_memberships,
    record_unauthenticated_action,
    unauthenticated_actor,
)
from koppel.organisations.audit_actions import PersonAction, SignInAction
from koppel.organisations.models import User
from koppel.organisations.roles import Actor

REFUSAL_SECONDS = 0.2
_counted_at: dict[SignInAction, float] = {}
log = structlog.get_logger(__name__)


def record_failure(request: HttpRequest, login: str, action: SignInAction) -> None:
    """Record a failed or throttled sign-in for an entered address."""
    user = User.objects.filter(email__iexact=login).first() if login else None
    log.warning(action.value.replace(".", "_"), address=client_ip(request))
    record_unauthenticated_action(user, action, client_ip(request))


def record_request_refused(request: HttpRequest, action: SignInAction) -> None:
    """Record a refused request of which only the address is known.

    Requests that follow within `REFUSAL_SECONDS` are not recorded: counting must not cost more than refusing.
    """
    now = time.monotonic()
    if now - _counted_at.get(action, -REFUSAL_SECONDS) >= REFUSAL_SECONDS:
        _counted_at[action] = now
        record_repeatable(INSTALLATION, unauthenticated_actor(client_ip(request)), action)


def record_refused_permission(actor: Actor, permission: str) -> None:
    """Record that a member tried what their role does not allow."""
    subject = Subject(kind=SubjectKind.PERSON, id=actor.membership_id or None, name=actor.name)
    record_repeatable(
        actor.organisation_id,
        actor.audit,
        PersonAction.PERMISSION_REFUSED,
        subject=subject,
        reason=permission,
    )


def on_second_step_failed(request: HttpRequest | None = None, user: User | None = None, **_more: Any) -> None:
    """Receive the signal of a wrong code."""
    if request is not None and user is not None:
        record_unauthenticated_action(user, SignInAction.SECOND_STEP_FAILED, client_ip(request))


def on_authenticator_used(
    request: HttpRequest | None = None,
    user: User | None = None,
    authenticator: Authenticator | None = None,
    **_more: Any,
) -> None:
    """Receive the signal of a second step; each recovery code serves once."""
    if authenticator is not None and authenticator.type == Authenticator.Type.RECOVERY_CODES:
        _record_own_action(request, user, SignInAction.RECOVERY_CODE_USED)


def on_authenticator_added(
    request: HttpRequest | None = None,
    user: User | None = None,
    authenticator: Authenticator | None = None,
    **_more: Any,
) -> None:
    _record_own_action(request, user, SignInAction.SECOND_STEP_ADDED, authenticator)


def on_authenticator_removed(
    request: HttpRequest | None = None,
    user: User | None = None,
    authenticator: Authenticator | None = None,
    **_more: Any,
) -> None:
    _record_own_action(request, user, SignInAction.SECOND_STEP_REMOVED, authenticator)


def on_authenticator_reset(
    request: HttpRequest | None = None,
    user: User | None = None,
    authenticator: Authenticator | None = None,
    **_more: Any,
) -> None:
    _record_own_action(request, user, SignInAction.RECOVERY_CODES_RENEWED, authenticator)


def on_password_reset(request: HttpRequest | None = None, user: User | None = None, **_more: Any) -> None:
    _record_own_action(request, user, SignInAction.PASSWORD_RESET)


def on_password_changed(request: HttpRequest | None = None, user: User | None = None, **_more: Any) -> None:
    _record_own_action(request, user, SignInAction.PASSWORD_CHANGED)


def _record_own_action(
    request: HttpRequest | None,
    user: User | None,
    action: SignInAction,
    authenticator: Authenticator | None = None,
) -> None:
    """Record an action of a person on their own account, in each of their organisations."""
    if user is None:
        return
    address = client_ip(request) if request is not None else ""
    actor = AuditActor(
        kind=ActorKind.PERSON, id=user.pk, name=str(user), ip_address=address, interface=Interface.WEB
    )
    details = {"kind": str(authenticator.type)} if authenticator is not None else {}
    for membership in list_active_memberships(user):
        with organisation_scope(membership.organisation_id):
            subject = Subject(kind=SubjectKind.PERSON, id=membership.pk, name=str(membership.user))
            add_audit_entry(membership.organisation_id, actor, action, subject=subject, details=details)
