"""The recipients of an event: the responsible member or a stand-in, members named by settings, and
subscribers. An assignment is no subscription.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from django.db.models import Q, QuerySet
from django.utils import timezone

from koppel.notifications.audience.hooks import (
    Audience,
    VisibleAdministrations,
    audience_of,
    fallback_recipients,
    visible_administrations_of,
)
from koppel.notifications.event_types import get_event_type
from koppel.notifications.models import (
    Channel,
    DeliverySettings,
    Event,
    NotificationReason,
    Preference,
    PreferenceScope,
)
from koppel.organisations.models import Membership
from koppel.organisations.roles import Role

STAND_IN_HOPS_MAX = 3
"""The most stand-ins to follow: a stand-in may be away too, and have a stand-in."""


@dataclass(kw_only=True)
class Recipient:
    """`visible_administrations` None: the person is responsible and sees all administrations of the event."""

    membership_id: int
    reason: NotificationReason
    channels: set[Channel] = field(default_factory=set)
    visible_administrations: frozenset[int] | None = None


def recipients_of(event: Event) -> list[Recipient]:
    """Return the recipients: the responsible member first, unless the settings of all affected
    administrations are silent; then the members whom settings name, then subscribers. In scope.
    """
    organisation_id, event_type = event.organisation_id, event.event_type
    affected = frozenset(int(administration_id) for administration_id in event.administrations)
    audiences = (
        audience_of(organisation_id, event_type, affected)
        if get_event_type(event_type).by_administration and affected
        else {}
    )
    silent = frozenset(
        administration_id for administration_id, audience in audiences.items() if audience.is_silent
    )
    first, reason = resolve_stand_in(organisation_id, event.responsible_id)
    recipients: dict[int, Recipient] = {}
    if first and (not affected or silent != affected):
        recipients = {
            recipient.membership_id: recipient
            for recipient in _responsible(event, first, reason, affected - silent)
        }
    responsible = frozenset(recipients)
    for recipient in [*_configured_recipients(event, audiences), *_subscribers(event)]:
        existing = recipients.setdefault(recipient.membership_id, recipient)
        if existing is not recipient and existing.membership_id not in responsible:
            existing.channels |= recipient.channels
            existing.visible_administrations = (existing.visible_administrations or frozenset()) | (
                recipient.visible_administrations or frozenset()
            )
    return list(recipients.values())


def _responsible(
    event: Event, first: int, reason: NotificationReason, affected: frozenset[int]
) -> list[Recipient]:
    """Return the responsible member; for administrations that they cannot see, a person named on them
    instead.

    Without such a person the responsible member is notified without names, so that the event is not lost.
    """
    organisation_id, event_type = event.organisation_id, event.event_type
    fallbacks = fallback_recipients(organisation_id, first, affected) if affected else {}
    visible = affected - fallbacks.keys()
    recipients = []
    is_needed = get_event_type(event_type).names_are_optional
    if visible or not affected or is_needed or None in fallbacks.values():
        recipient = responsible_recipient(organisation_id, event_type, first, reason)
        recipient.visible_administrations = None if len(visible) == len(event.administrations) else visible
        recipients.append(recipient)
    for member in sorted({member for member in fallbacks.values() if member is not None}):
        other = responsible_recipient(organisation_id, event_type, member, NotificationReason.RESPONSIBLE)
        other.visible_administrations = frozenset(
            key for key, fallback in fallbacks.items() if fallback == member
        )
        recipients.append(other)
    return recipients


def _configured_recipients(event: Event, audiences: Mapping[int, Audience]) -> list[Recipient]:
    """Return the members named in settings, by screen and email; an email channel that a member turned off
    stays off.
    """
    by_member: dict[int, set[int]] = {}
    for administration, audience in audiences.items():
        for member in audience.members:
            by_member.setdefault(member, set()).add(administration)
    active = (
        active_members(event.organisation_id)
        .filter(pk__in=by_member)
        .order_by("pk")
        .values_list("pk", flat=True)
    )
    scopes = scopes_of(event.organisation_id, event.event_type, by_member)
    recipients = []
    for member in active:
        silenced = scopes.get((member, Channel.EMAIL)) == PreferenceScope.NONE
        channels = {Channel.SCREEN} if silenced else {Channel.SCREEN, Channel.EMAIL}
        recipients.append(
            Recipient(
                membership_id=member,
                reason=NotificationReason.SETTINGS,
                channels=channels,
                visible_administrations=frozenset(by_member[member]),
            )
        )
    return recipients


def responsible_recipient(
    organisation_id: int, event_type: str, membership_id: int, reason: NotificationReason
) -> Recipient:
    """Return the responsible member as a recipient. The on-screen notification is always created; email can
    be turned off.
    """
    scope = scopes_of(organisation_id, event_type, [membership_id]).get(
        (membership_id, Channel.EMAIL), PreferenceScope.MINE
    )
    channels = {Channel.SCREEN} if scope == PreferenceScope.NONE else {Channel.SCREEN, Channel.EMAIL}
    return Recipient(membership_id=membership_id, reason=reason, channels=channels)


def resolve_stand_in(
    organisation_id: int, membership_id: int | None
) -> tuple[int | None, NotificationReason]:
    """Return the member, or the replacement of one who is away or gone: the chosen stand-in, else an
    Administrator.
    """
    visited: set[int] = set()
    candidate = membership_id
    for _hop in range(STAND_IN_HOPS_MAX):
        if candidate is None or candidate in visited:
            break
        visited.add(candidate)
        delivery_settings = (
            DeliverySettings.objects.in_organisation(organisation_id).filter(membership_id=candidate).first()
        )
        if _is_active(organisation_id, candidate) and not _is_away(delivery_settings):
            return (
                candidate,
                NotificationReason.RESPONSIBLE if candidate == membership_id else NotificationReason.STAND_IN,
            )
        candidate = delivery_settings.stand_in_id if delivery_settings else None
    administrators = active_members(organisation_id).filter(role=Role.ADMINISTRATOR).order_by("pk")
    return administrators.values_list("pk", flat=True).first(), NotificationReason.STAND_IN


def active_members(organisation_id: int) -> "QuerySet[Membership]":
    """Return the members who may sign in today."""
    members = Membership.objects.in_organisation(organisation_id).filter(is_active=True, user__is_active=True)
    return members.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))


def scopes_of(
    organisation_id: int, event_type: str, membership_ids: Iterable[int] | None = None
) -> dict[tuple[int, str], str]:
    """Return the chosen scope by (membership, channel); defaults are absent."""
    preferences = Preference.objects.in_organisation(organisation_id).filter(event_type=event_type)
    if membership_ids is not None:
        preferences = preferences.filter(membership_id__in=list(membership_ids))
    return {(choice.membership_id, choice.channel): choice.scope for choice in preferences}


def _subscribers(event: Event) -> list[Recipient]:
    scopes = {
        (member, channel): scope
        for (member, channel), scope in scopes_of(event.organisation_id, event.event_type).items()
        if scope not in (PreferenceScope.NONE, PreferenceScope.MINE)
    }
    active = set(
        active_members(event.organisation_id)
        .filter(pk__in={member for member, _channel in scopes})
        .values_list("pk", flat=True)
    )
    affected = [int(administration_id) for administration_id in event.administrations]
    visibilities = (
        visible_administrations_of(event.organisation_id, event.subject, affected, active) if active else {}
    )
    recipients: dict[int, Recipient] = {}
    for (member, channel), scope in sorted(scopes.items()):
        own_administrations = _in_scope(visibilities.get(member, VisibleAdministrations()), scope)
        if own_administrations and member in active:
            recipient = recipients.setdefault(
                member,
                Recipient(
                    membership_id=member,
                    reason=NotificationReason.SUBSCRIBED,
                    visible_administrations=frozenset(),
                ),
            )
            recipient.channels.add(Channel(channel))
            recipient.visible_administrations = (
                recipient.visible_administrations or frozenset()
            ) | own_administrations
    return list(recipients.values())


def _in_scope(visibility: VisibleAdministrations, scope: str) -> frozenset[int]:
    if scope == PreferenceScope.ALL:
        return visibility.visible
    return (
        visibility.favourites | visibility.divisions
        if scope == PreferenceScope.DIVISIONS
        else visibility.favourites
    )


def _is_active(organisation_id: int, membership_id: int) -> bool:
    return active_members(organisation_id).filter(pk=membership_id).exists()


def _is_away(delivery_settings: DeliverySettings | None) -> bool:
    return bool(
        delivery_settings
        and delivery_settings.away_until
        and delivery_settings.away_until >= timezone.localdate()
    )
