"""Where people are signed in, and the end of it. A session is the person's own; an organisation sees those that act in it."""

from datetime import timedelta
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from koppel.audit.services import record
from koppel.organisations.models import Membership, PersonSession
from koppel.organisations.roles import Actor, Permission

SEEN_EVERY = timedelta(minutes=5)


def note_session(
    session_key: str, user_id: int, *, acts_in: int | None, vouched_by: int | None, address: str, browser: str
) -> None:
    """Remember a session that begins; forget those of this person that ended long ago."""
    long_ago = timezone.now() - timedelta(seconds=settings.SESSION_COOKIE_AGE)
    PersonSession.objects.filter(user_id=user_id, last_seen_at__lt=long_ago).delete()
    PersonSession.objects.update_or_create(
        session_key=session_key,
        defaults={
            "user_id": user_id,
            "acts_in": acts_in,
            "vouched_by": vouched_by,
            "address": address,
            "browser": browser[:300],
            "last_seen_at": timezone.now(),
        },
    )


def note_seen(session_key: str, acts_in: int, address: str) -> None:
    """That the session was used; written at most every few minutes, and when it moved to another organisation."""
    own = PersonSession.objects.filter(session_key=session_key)
    recently = timezone.now() - SEEN_EVERY
    own.exclude(acts_in=acts_in, last_seen_at__gt=recently).update(
        acts_in=acts_in, address=address, last_seen_at=timezone.now()
    )


def sessions_of(user_id: int, acts_in: int | None = None) -> list[PersonSession]:
    """Those that are alive, the last seen first; of one organisation when it is named."""
    found = PersonSession.objects.filter(user_id=user_id)
    if acts_in is not None:
        found = found.filter(acts_in=acts_in)
    alive = _alive([one.session_key for one in found])
    return [one for one in found.order_by("-last_seen_at") if one.session_key in alive]


def end_sessions(user_id: int, acts_in: int | None, *, but: str = "", only: int | None = None) -> int:
    """End sessions of a person: of one organisation when it is named, `only` one of them, never the session `but`."""
    found = PersonSession.objects.filter(user_id=user_id).exclude(session_key=but)
    if acts_in is not None:
        found = found.filter(acts_in=acts_in)
    if only is not None:
        found = found.filter(pk=only)
    return _end(found)


def vouched_sessions(organisation_id: int) -> int:
    """How many people's sessions the organisation's identity provider began that still last."""
    found = PersonSession.objects.filter(vouched_by=organisation_id)
    return len(_alive(list(found.values_list("session_key", flat=True))))


def end_vouched_sessions(organisation_id: int) -> int:
    """End every session that the organisation's identity provider began. How many still lasted."""
    count = vouched_sessions(organisation_id)
    _end(PersonSession.objects.filter(vouched_by=organisation_id))
    return count


def end_own_sessions(actor: Actor, current_key: str, only: int | None, *, acts_in: int | None = None) -> int:
    """One of one's own sessions, or all others; of one organisation when it is named. How many ended."""
    count = end_sessions(actor.user_id, acts_in, but=current_key, only=only)
    if count:
        subject = ("person", actor.membership_id, actor.name)
        record(actor.organisation_id, actor.audit, "sessions.ended", subject=subject, details={"count": count})
    return count


def end_sessions_of(actor: Actor, person: Membership) -> int:
    """All sessions of a member in this organisation, by who manages people. How many ended."""
    actor.require(Permission.PEOPLE)
    count = end_sessions(person.user_id, person.organisation_id)
    subject = ("person", person.pk, str(person.user))
    record(actor.organisation_id, actor.audit, "sessions.ended", subject=subject, details={"count": count})
    return count


def _end(found: "QuerySet[PersonSession]") -> int:
    keys = list(found.values_list("session_key", flat=True))
    store = _store()
    for key in keys:
        store(key).delete()
    found.delete()
    return len(keys)


def _alive(keys: list[str]) -> set[str]:
    store = _store()
    model = store.get_model_class()
    found = model.objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return set(found.values_list("session_key", flat=True))


def _store() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore
