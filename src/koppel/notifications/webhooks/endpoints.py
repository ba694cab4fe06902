"""Use cases of webhooks: an Administrator names an address, chooses events, and looks after what was not accepted."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.models import ActorKind
from koppel.audit.services import AuditActor, record
from koppel.kit import quarantine
from koppel.kit.secrets import Secret
from koppel.notifications.errors import NoSuchWebhook
from koppel.notifications.event_types import events_of_webhooks
from koppel.notifications.events.services import announce
from koppel.notifications.models import DeliveryState, Webhook, WebhookDelivery
from koppel.notifications.webhooks import event_types
from koppel.notifications.webhooks.payloads import TEST, queue, test_message
from koppel.notifications.webhooks.signing import new_secret
from koppel.organisations.encryption import seal, unseal
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division
from koppel.organisations.roles import Actor, Permission

WEBHOOKS_MAX = 20
OLD_SECRET_FOR = timedelta(hours=24)
"""So long the secret before signs as well."""
KEEPER = AuditActor(ActorKind.JOB, None, "Koppel")
_OVER = [DeliveryState.FAILED, DeliveryState.DROPPED, DeliveryState.SENT]


@dataclass(frozen=True)
class Wanted:
    """As a person or a program says it. `events` empty: all; `divisions` empty: the whole organisation."""

    name: str
    url: str
    events: Collection[str] = ()
    divisions: Collection[int] = ()


def webhooks_of(actor: Actor) -> list[Webhook]:
    """By name. Raises `NotAllowed`."""
    actor.require(Permission.ORGANISATION)
    return list(Webhook.objects.filter(organisation_id=actor.organisation_id).order_by("name", "pk"))


def webhook_for(actor: Actor, webhook_id: int) -> Webhook:
    """Raises `NoSuchWebhook`, `NotAllowed`."""
    actor.require(Permission.ORGANISATION)
    one = Webhook.objects.filter(organisation_id=actor.organisation_id, pk=webhook_id).first()
    if one is None:
        raise NoSuchWebhook
    return one


def add(actor: Actor, wanted: Wanted) -> tuple[Webhook, Secret]:
    """The secret is shown once. Raises `Refused`."""
    actor.require(Permission.ORGANISATION)
    if Webhook.objects.filter(organisation_id=actor.organisation_id).count() >= WEBHOOKS_MAX:
        raise Refused(_("An organisation has at most %(count)d webhooks.") % {"count": WEBHOOKS_MAX})
    fresh = _checked(actor, wanted)
    one = Webhook.objects.create(
        organisation_id=actor.organisation_id, made_by_id=None if actor.is_operator else actor.membership_id,
        name=fresh.name, url=fresh.url, events=list(fresh.events), divisions=list(fresh.divisions),
    )  # fmt: skip
    secret = _give_secret(one)
    _record(actor.audit, one, "webhook.made", after=_told(fresh))
    return one, secret


def change(actor: Actor, webhook_id: int, wanted: Wanted) -> Webhook:
    """Raises `Refused`, `NoSuchWebhook`."""
    one, fresh = webhook_for(actor, webhook_id), _checked(actor, wanted)
    before = Wanted(one.name, one.url, tuple(one.events), tuple(one.divisions))
    one.name, one.url, one.events, one.divisions = fresh.name, fresh.url, list(fresh.events), list(fresh.divisions)
    one.save(update_fields=["name", "url", "events", "divisions"])
    if before != fresh:
        _record(actor.audit, one, "webhook.changed", before=_told(before), after=_told(fresh))
    return one


def switch(actor: Actor, webhook_id: int, *, on: bool) -> Webhook:
    """Switched off, nothing is told; what waits is kept in the log as failed, to be sent again by hand."""
    one = webhook_for(actor, webhook_id)
    if one.is_active == on:
        return one
    one.is_active, one.failing_since, one.stopped_because = on, None, ""
    one.save(update_fields=["is_active", "failing_since", "stopped_because"])
    if not on:
        _give_up(one)
    _record(actor.audit, one, "webhook.switched_on" if on else "webhook.switched_off")
    return one


def renew_secret(actor: Actor, webhook_id: int) -> Secret:
    """A new secret, shown once; the old one signs too for a day."""
    one = webhook_for(actor, webhook_id)
    one.previous_secret = seal(secret_of(one).reveal().encode(), secret_place(one.organisation_id, one.pk))
    one.previous_until = timezone.now() + OLD_SECRET_FOR
    secret = _give_secret(one)
    _record(actor.audit, one, "webhook.secret_renewed")
    return secret


def remove(actor: Actor, webhook_id: int) -> None:
    """With its log."""
    one = webhook_for(actor, webhook_id)
    _record(actor.audit, one, "webhook.removed", before={"url": one.url})
    one.delete()


def send_test(actor: Actor, webhook_id: int) -> WebhookDelivery:
    """A message of no meaning, sent within seconds; the log says what came back. Raises `Refused` and `Quarantined`."""
    one = webhook_for(actor, webhook_id)
    quarantine.refuse()
    _refuse_switched_off(one)
    _record(actor.audit, one, "webhook.tested")
    return queue(one, TEST, test_message(one))


def redeliver(actor: Actor, webhook_id: int, delivery_ids: Collection[int] | None = None) -> int:
    """Send these again, under the id they had; all that failed when none is named. How many. Raises `Refused` and
    `Quarantined`."""
    from koppel.notifications.tasks import send_webhooks  # noqa: PLC0415 - tasks call services

    one = webhook_for(actor, webhook_id)
    quarantine.refuse()
    _refuse_switched_off(one)
    own = WebhookDelivery.objects.filter(organisation_id=actor.organisation_id, webhook=one)
    chosen = Q(state=DeliveryState.FAILED) if delivery_ids is None else Q(pk__in=delivery_ids, state__in=_OVER)
    count = own.filter(chosen).update(state=DeliveryState.WAITING, attempts=0, due_at=timezone.now(), reason="")
    if count:
        _record(actor.audit, one, "webhook.sent_again", count=count)
        send_webhooks.defer(organisation_id=actor.organisation_id)
    return count


def log_of(actor: Actor, webhook_id: int, *, state: str = "", limit: int = 100) -> list[WebhookDelivery]:
    """The newest first. Raises `NoSuchWebhook`."""
    one = webhook_for(actor, webhook_id)
    found = WebhookDelivery.objects.filter(organisation_id=actor.organisation_id, webhook=one)
    if state:
        found = found.filter(state=state)
    return list(found.order_by("-created_at", "-pk")[:limit])


def stop(one: Webhook, reason: str) -> None:
    """It accepted nothing for days, or is gone: switched off, and whoever made it is told. `reason` is a code of
    `webhooks.words`. In scope."""
    stopped = Webhook.objects.filter(organisation_id=one.organisation_id, pk=one.pk, is_active=True)
    if not stopped.update(is_active=False, stopped_because=reason):
        return
    _give_up(one)
    _record(KEEPER, one, "webhook.stopped", reason=reason)
    announce(
        one.organisation_id,
        event_types.STOPPED,
        f"webhook {one.pk}",
        responsible=one.made_by_id,
        facts={"name": one.name, "why": reason},
        link=f"/organisation/webhooks/{one.pk}/",
    )


def secret_of(one: Webhook) -> Secret:
    """Raises `SealBroken`."""
    return Secret(unseal(bytes(one.secret), secret_place(one.organisation_id, one.pk)).decode())


def secrets_in_use(one: Webhook) -> list[Secret]:
    """The newest first. Raises `SealBroken`."""
    found = [secret_of(one)]
    if one.previous_secret and one.previous_until and one.previous_until > timezone.now():
        place = secret_place(one.organisation_id, one.pk)
        found.append(Secret(unseal(bytes(one.previous_secret), place).decode()))
    return found


def secret_place(organisation_id: int, webhook_id: int) -> str:
    """The row that a webhook's secrets are sealed for."""
    return f"notifications_webhook|{organisation_id}|{webhook_id}|secret"


def _give_secret(one: Webhook) -> Secret:
    secret = new_secret()
    one.secret = seal(secret.reveal().encode(), secret_place(one.organisation_id, one.pk))
    one.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def _checked(actor: Actor, wanted: Wanted) -> Wanted:
    """Cleaned up. Whether the address may be called is decided when it is: names move. Raises `Refused`."""
    name, url = wanted.name.replace("\0", "").strip()[:100], wanted.url.replace("\0", "").strip()
    if not name:
        raise Refused(_("A name is needed."))
    schemes = ["https", "http"] if settings.WEBHOOK_NETWORKS else ["https"]
    try:
        URLValidator(schemes=schemes)(url.replace("//localhost", "//localhost.localdomain"))
        parts = urlsplit(url) if url.isascii() and urlsplit(url).port != 0 else None
    except (ValidationError, ValueError):  # a port that there cannot be is a ValueError
        parts = None
    if parts is None or parts.username or parts.fragment or len(url) > 500:
        raise Refused(_("“%(url)s” is no address that Koppel can call. It begins with https://.") % {"url": url[:200]})
    known = events_of_webhooks()
    if "" in wanted.events:
        raise Refused(_("Choose events, at least one; or all of them."))
    if unknown := [one for one in wanted.events if one not in known]:
        raise Refused(_("There is no event “%(event)s”.") % {"event": str(unknown[0])[:60]})
    return Wanted(name, url, tuple(sorted(set(wanted.events))), _own_divisions(actor, wanted.divisions))


def _own_divisions(actor: Actor, wanted: Collection[int]) -> tuple[int, ...]:
    own = Division.objects.filter(organisation_id=actor.organisation_id, archived_at=None, pk__in=list(wanted))
    found = tuple(own.order_by("pk").values_list("pk", flat=True))
    if len(found) < len(set(wanted)):
        raise Refused(_("Choose divisions that exist, at least one; or the whole organisation."))
    return found


def _told(wanted: Wanted) -> dict[str, object]:
    """For the trail, divisions by name: they may be gone when it is read."""
    names = Division.objects.filter(pk__in=list(wanted.divisions)).order_by("name").values_list("name", flat=True)
    return {**vars(wanted), "divisions": list(names)}


def _refuse_switched_off(one: Webhook) -> None:
    if not one.is_active:
        raise Refused(_("The webhook is switched off. Switch it on first."))


def _give_up(one: Webhook) -> None:
    waiting = WebhookDelivery.objects.filter(
        organisation_id=one.organisation_id, webhook=one, state=DeliveryState.WAITING
    )
    waiting.update(state=DeliveryState.FAILED, reason="switched_off")


def _record(who: AuditActor, one: Webhook, act: str, **details: object) -> None:
    record(one.organisation_id, who, act, subject=("webhook", one.pk, one.name), details=details)
