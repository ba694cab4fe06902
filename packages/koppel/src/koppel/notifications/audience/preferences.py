"""Notification preferences of one member."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.utils.translation import gettext as _

from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.notifications.audience.recipients import active_members
from koppel.notifications.audit_actions import NotificationAction
from koppel.notifications.event_types import event_types
from koppel.notifications.models import (
    Channel,
    DeliverySettings,
    Preference,
    PreferenceScope,
)
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor

SCREEN_SCOPES = [scope for scope in PreferenceScope if scope is not PreferenceScope.NONE]
"""Notifications on screen cannot be turned off, emails can."""


@dataclass(frozen=True, kw_only=True)
class PreferenceRow:
    """An event on the page of preferences, with the scope chosen per channel."""

    event: str
    label: str
    screen: str
    email: str


def list_preferences(actor: Actor) -> list[PreferenceRow]:
    """Return the actor's preferences, ordered by label in the active language."""
    preferences = Preference.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    scopes = {(choice.event_type, choice.channel): choice.scope for choice in preferences}
    preference_rows = [
        PreferenceRow(
            event=event,
            label=str(definition.label),
            screen=scopes.get((event, Channel.SCREEN), PreferenceScope.MINE),
            email=scopes.get((event, Channel.EMAIL), PreferenceScope.MINE),
        )
        for event, definition in event_types.items()
        if definition.label
    ]
    return sorted(preference_rows, key=lambda row: row.label.casefold())


def update_preferences(actor: Actor, scopes: Mapping[tuple[str, str], str]) -> None:
    """Store scopes by (event, channel); the default scope needs no row. Raises `UnknownParameter` before
    anything is stored.
    """
    _require_known(scopes)
    preferences = Preference.objects.for_actor(actor).filter(membership_id=actor.membership_id)
    before = {f"{choice.event_type} {choice.channel}": choice.scope for choice in preferences}
    for (event, channel), scope in scopes.items():
        if scope == PreferenceScope.MINE:
            preferences.filter(event_type=event, channel=channel).delete()
            continue
        Preference.objects.update_or_create(
            organisation_id=actor.organisation_id,
            membership_id=actor.membership_id,
            event_type=event,
            channel=channel,
            defaults={"scope": scope},
        )
    after = {f"{choice.event_type} {choice.channel}": choice.scope for choice in preferences.all()}
    if after != before:
        add_actor_entry(
            actor,
            NotificationAction.DELIVERY_SETTINGS_CHANGED,
            _subject(actor),
            before=before,
            after=after,
        )


def _require_known(scopes: Mapping[tuple[str, str], str]) -> None:
    configurable = sorted(event for event, definition in event_types.items() if definition.label)
    parts = []
    for (event, channel), scope in scopes.items():
        allowed = [scope.value for scope in (SCREEN_SCOPES if channel == Channel.SCREEN else PreferenceScope)]
        if event not in configurable:
            parts.append(unknown_value("event", event, configurable))
        elif channel not in Channel.values:
            parts.append(unknown_value("channel", channel, Channel.values))
        elif scope not in allowed:
            parts.append(unknown_value("scope", scope, allowed))
    if parts:
        raise UnknownParameter(parts)


def delivery_settings_of(actor: Actor) -> DeliverySettings:
    """Return the member's delivery settings; unsaved defaults when there are none."""
    stored = DeliverySettings.objects.for_actor(actor).filter(membership_id=actor.membership_id).first()
    return stored or DeliverySettings(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id
    )


def update_delivery_settings(
    actor: Actor, *, digest: bool, stand_in: int | None, away_until: date | None
) -> None:
    """Store whether emails are a daily digest, and the stand-in with the day on which it ends.

    Raises `Refused` for a stand-in who cannot sign in.
    """
    if stand_in is not None and stand_in not in {colleague.pk for colleague in stand_in_candidates(actor)}:
        message = _("Choose an active colleague as your substitute. Nothing was saved.")
        raise Refused(message, field="stand_in")
    DeliverySettings.objects.update_or_create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        defaults={"digest": digest, "stand_in_id": stand_in, "away_until": away_until},
    )
    last_day = away_until.isoformat() if away_until else None
    add_actor_entry(
        actor,
        NotificationAction.DELIVERY_SETTINGS_CHANGED,
        _subject(actor),
        digest=digest,
        stand_in=stand_in,
        away_until=last_day,
    )


def stand_in_candidates(actor: Actor) -> list[Membership]:
    """Return possible stand-ins: all other members who can sign in."""
    members = active_members(actor.organisation_id).exclude(pk=actor.membership_id).select_related("user")
    return list(members.order_by("user__name", "pk"))


def _subject(actor: Actor) -> Subject:
    return Subject(kind=SubjectKind.PERSON, id=actor.membership_id, name=actor.name)
