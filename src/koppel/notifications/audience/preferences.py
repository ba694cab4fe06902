"""What a person wants to be told of, and how. Everybody decides for himself or herself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from koppel.audit.services import record
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.notifications.audience.recipients import here
from koppel.notifications.event_types import events
from koppel.notifications.models import Arrangement, Channel, Delivery, DeliveryState, Preference, Scope
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor

SCREEN_SCOPES = [one for one in Scope if one is not Scope.NONE]
"""What a person alone is told cannot be hidden from the screen; mail can be silenced."""


@dataclass(frozen=True)
class Row:
    """An event on the page of preferences, with the scope chosen per channel."""

    event: str
    label: str
    screen: str
    mail: str


def rows(actor: Actor) -> list[Row]:
    """By name, in the language that is active."""
    own = Preference.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    chosen = {(one.event, one.channel): one.scope for one in own}
    found = [
        Row(
            event,
            str(entry.label),
            chosen.get((event, Channel.SCREEN), Scope.MINE),
            chosen.get((event, Channel.MAIL), Scope.MINE),
        )
        for event, entry in events().items()
        if entry.label
    ]
    return sorted(found, key=lambda one: one.label.casefold())


def choose(actor: Actor, scopes: Mapping[tuple[str, str], str]) -> None:
    """(event, channel) to scope. The ordinary choice needs no row. Raises `UnknownParameter`; nothing is stored then."""
    _require_known(scopes)
    own = Preference.objects.filter(organisation_id=actor.organisation_id, membership_id=actor.membership_id)
    before = {f"{one.event} {one.channel}": one.scope for one in own}
    for (event, channel), scope in scopes.items():
        if scope == Scope.MINE:
            own.filter(event=event, channel=channel).delete()
            continue
        Preference.objects.update_or_create(
            organisation_id=actor.organisation_id,
            membership_id=actor.membership_id,
            event=event,
            channel=channel,
            defaults={"scope": scope},
        )
    after = {f"{one.event} {one.channel}": one.scope for one in own.all()}
    if after != before:
        _record(actor, {"before": before, "after": after})


def _require_known(scopes: Mapping[tuple[str, str], str]) -> None:
    known = sorted(event for event, entry in events().items() if entry.label)
    parts = []
    for (event, channel), scope in scopes.items():
        allowed = [one.value for one in (SCREEN_SCOPES if channel == Channel.SCREEN else Scope)]
        if event not in known:
            parts.append(unknown_value("event", event, known))
        elif channel not in Channel.values:
            parts.append(unknown_value("channel", channel, Channel.values))
        elif scope not in allowed:
            parts.append(unknown_value("scope", scope, allowed))
    if parts:
        raise UnknownParameter(parts)


def arrangement_of(actor: Actor) -> Arrangement:
    """The person's own; an unsaved ordinary one when nothing was ever arranged."""
    own = {"organisation_id": actor.organisation_id, "membership_id": actor.membership_id}
    return Arrangement.objects.filter(**own).first() or Arrangement(**own)


def arrange(actor: Actor, *, digest: bool, stand_in: int | None, away_until: date | None) -> bool:
    """False when the stand-in is not a colleague who can sign in; nothing is stored then."""
    if stand_in is not None and stand_in not in {one.pk for one in colleagues(actor)}:
        return False
    Arrangement.objects.update_or_create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        defaults={"digest": digest, "stand_in_id": stand_in, "away_until": away_until},
    )
    until = away_until.isoformat() if away_until else None
    _record(actor, {"digest": digest, "stand_in": stand_in, "away_until": until})
    return True


def colleagues(actor: Actor) -> list[Membership]:
    """Who may stand in: everybody else who can sign in."""
    found = here(actor.organisation_id).exclude(pk=actor.membership_id).select_related("user")
    return list(found.order_by("user__name", "pk"))


def silence(organisation_id: int, membership_id: int, event: str) -> None:
    """No more mail about this event to this person: the way out in every mail. In scope."""
    Preference.objects.update_or_create(
        organisation_id=organisation_id,
        membership_id=membership_id,
        event=event,
        channel=Channel.MAIL,
        defaults={"scope": Scope.NONE},
    )
    Delivery.objects.filter(
        organisation_id=organisation_id, membership_id=membership_id, notice__event=event, state=DeliveryState.WAITING
    ).update(state=DeliveryState.DROPPED, reason="unsubscribed")


def _record(actor: Actor, details: dict[str, object]) -> None:
    record(
        actor.organisation_id,
        actor.audit,
        "notices.arranged",
        subject=("membership", actor.membership_id, actor.name),
        details=details,
    )
