"""Record sign-ins as sessions, which the person and the organisation can see and end."""

from typing import Any

from django.http import HttpRequest

from koppel.audit.models import Interface
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.client_ip import client_ip
from koppel.organisations.access.actors import resolve_actor
from koppel.organisations.access.sessions import end_sessions, forget_known_browsers, record_session
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.models import User
from koppel.organisations.requests import record_sign_in_time
from koppel.web.auth import login_throttling


def track_sign_in(request: HttpRequest | None = None, user: User | None = None, **_more: Any) -> None:
    """Receive the signal of every sign-in."""
    if request is None or user is None:
        return
    if not request.session.session_key:
        request.session.save()
    session, address = request.session, client_ip(request)
    sso_organisation_id = session.get("sso_organisation_id")
    if sso_organisation_id is None:
        record_sign_in_time(request)
        # Only after a sign-in with a password: a provider must not exempt its browsers from throttling.
        login_throttling.remember_browser(request, user)
    actor = resolve_actor(
        user.pk, session.get("organisation"), address, Interface.WEB, sso_organisation_id=sso_organisation_id
    )
    if actor is not None:
        # Said once: a membership that comes later must not move who is signed in already.
        session["organisation"] = actor.organisation_id
    _record_session(request, user.pk, actor.organisation_id if actor else None)
    if actor is not None:
        with organisation_scope(actor.organisation_id):
            subject = Subject(kind=SubjectKind.PERSON, id=actor.membership_id, name=actor.name)
            details = {"through": "provider"} if sso_organisation_id else {}
            add_audit_entry(
                actor.organisation_id, actor.audit, PersonAction.SIGNED_IN, subject=subject, details=details
            )


def record_reauthentication(
    request: HttpRequest | None = None, *, reauthenticated: bool = False, **_more: Any
) -> None:
    """Receive the signal of a step of a sign-in; in an open session the step is a re-authentication."""
    if request is not None and reauthenticated:
        record_sign_in_time(request)


def end_other_sessions(request: HttpRequest | None = None, user: User | None = None, **_more: Any) -> None:
    """Receive the signal of a new password: this session gets another key, all others end, and no browser is
    known any more.
    """
    if user is None:
        return
    forget_known_browsers(user.pk)
    if request is None or not request.user.is_authenticated:
        return
    end_sessions(user.pk, None, except_key=str(request.session.session_key))
    _record_session(request, user.pk, request.session.get("organisation"))


def _record_session(request: HttpRequest, user_id: int, active_organisation_id: int | None) -> None:
    record_session(
        str(request.session.session_key),
        user_id,
        active_organisation_id=active_organisation_id,
        sso_organisation_id=request.session.get("sso_organisation_id"),
        address=client_ip(request),
        browser=request.META.get("HTTP_USER_AGENT", ""),
    )
