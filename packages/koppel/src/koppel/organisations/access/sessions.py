"""Sessions of people: list and end them.

A session is the person's own; an organisation sees those that act in it.
"""

from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db.models import F, QuerySet
from django.utils import timezone

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.organisations.audit_actions import PersonAction
from koppel.organisations.models import Membership, User, UserSession
from koppel.organisations.roles import Actor, Permission

TOUCH_INTERVAL = timedelta(minutes=5)


def record_session(
    session_key: str,
    user_id: int,
    *,
    active_organisation_id: int | None,
    sso_organisation_id: int | None,
    address: str,
    browser: str,
) -> None:
    """Store a new session, and delete those of this person that ended long ago."""
    expired_before = timezone.now() - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    UserSession.objects.filter(user_id=user_id, last_seen_at__lt=expired_before).delete()
    UserSession.objects.update_or_create(
        session_key=session_key,
        defaults={
            "user_id": user_id,
            "active_organisation_id": active_organisation_id,
            "sso_organisation_id": sso_organisation_id,
            "address": address,
            "browser": browser[:300],
            "last_seen_at": timezone.now(),
        },
    )


def touch_session(session_key: str, active_organisation_id: int, address: str) -> None:
    """Record that the session was used, at most every few minutes, and when it moved to another
    organisation.
    """
    sessions = UserSession.objects.filter(session_key=session_key)
    recently = timezone.now() - TOUCH_INTERVAL
    sessions.exclude(active_organisation_id=active_organisation_id, last_seen_at__gt=recently).update(
        active_organisation_id=active_organisation_id, address=address, last_seen_at=timezone.now()
    )


def sessions_of(user_id: int, active_organisation_id: int | None = None) -> list[UserSession]:
    """Return active sessions, the last seen first; of one organisation when it is given."""
    sessions = UserSession.objects.filter(user_id=user_id)
    if active_organisation_id is not None:
        sessions = sessions.filter(active_organisation_id=active_organisation_id)
    active_keys = _existing_keys([session.session_key for session in sessions])
    return [session for session in sessions.order_by("-last_seen_at") if session.session_key in active_keys]


def end_sessions(
    user_id: int, active_organisation_id: int | None, *, except_key: str = "", only: int | None = None
) -> int:
    """End sessions of a person: of one organisation when it is given, only `only`, and never `except_key`."""
    sessions = UserSession.objects.filter(user_id=user_id).exclude(session_key=except_key)
    if active_organisation_id is not None:
        sessions = sessions.filter(active_organisation_id=active_organisation_id)
    if only is not None:
        sessions = sessions.filter(pk=only)
    return _end_all(sessions)


def count_sso_sessions(organisation_id: int) -> int:
    """Return the number of active sessions that the organisation's identity provider began."""
    sessions = UserSession.objects.filter(sso_organisation_id=organisation_id)
    return len(_existing_keys(list(sessions.values_list("session_key", flat=True))))


def end_sso_sessions(organisation_id: int) -> int:
    """End every session that the organisation's identity provider began. Return the number of active ones."""
    count = count_sso_sessions(organisation_id)
    _end_all(UserSession.objects.filter(sso_organisation_id=organisation_id))
    return count


def forget_known_browsers(user_id: int) -> None:
    """Count a sign-in in any browser as one in an unknown browser until it succeeds there again."""
    User.objects.filter(pk=user_id).update(known_browsers_version=F("known_browsers_version") + 1)


def end_own_sessions(
    actor: Actor, current_key: str, only: int | None, *, active_organisation_id: int | None = None
) -> int:
    """End one own session, or all but `current_key` ('' ends that as well); of one organisation when it is
    given. Return the number. Who ends several may have lost a device: known browsers are forgotten too.
    """
    if only is None and active_organisation_id is None:
        forget_known_browsers(actor.user_id)
    count = end_sessions(actor.user_id, active_organisation_id, except_key=current_key, only=only)
    if count:
        subject = Subject(kind=SubjectKind.PERSON, id=actor.membership_id, name=actor.name)
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            PersonAction.SESSIONS_ENDED,
            subject=subject,
            details={"count": count},
        )
    return count


def end_sessions_of(actor: Actor, person: Membership) -> int:
    """End all sessions of a member in this organisation; needs the permission to manage people. Return the
    number.
    """
    actor.require(Permission.MANAGE_PEOPLE)
    count = end_sessions(person.user_id, person.organisation_id)
    subject = Subject(kind=SubjectKind.PERSON, id=person.pk, name=str(person.user))
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        PersonAction.SESSIONS_ENDED,
        subject=subject,
        details={"count": count},
    )
    return count


def _end_all(sessions: "QuerySet[UserSession]") -> int:
    keys = list(sessions.values_list("session_key", flat=True))
    store = _store()
    for key in keys:
        store(key).delete()
    sessions.delete()
    return len(keys)


def _existing_keys(keys: list[str]) -> set[str]:
    store = _store()
    model = store.get_model_class()
    rows = model.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return set(rows.values_list("session_key", flat=True))


def _store() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore
