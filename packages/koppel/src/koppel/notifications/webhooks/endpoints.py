"""Use cases of webhooks: an Administrator names an address, chooses
events, and looks after what was not accepted."""

from collections.abc import Collection
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
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit import quarantine
from koppel.kit.database.text import clean_text
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import decrypt_column, encrypt_column
from koppel.notifications.audit_actions import WebhookAction
from koppel.notifications.errors import NoSuchWebhook
from koppel.notifications.event_types import NotificationEvent, webhook_event_types
from koppel.notifications.events.keys import EventKey
from koppel.notifications.events.services import open_event
from koppel.notifications.models import DeliveryState, WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.delivery_queue import enqueue_delivery, first_attempt_at
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.notifications.webhooks.outbox import WEBHOOK_OUTBOX
from koppel.notifications.webhooks.payloads import TEST, test_payload
from koppel.notifications.webhooks.reasons import WebhookReason
from koppel.notifications.webhooks.signing import new_secret
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division
from koppel.organisations.roles import Actor, Permission

WEBHOOKS_MAX = 20
PREVIOUS_SECRET_VALID_FOR = timedelta(hours=24)
"""So long the secret before signs as well."""
SYSTEM_ACTOR = AuditActor(ActorKind.JOB, None, "Koppel")
_FINAL_STATES = [DeliveryState.FAILED, DeliveryState.DROPPED, DeliveryState.SENT]


def list_webhooks(actor: Actor) -> list[WebhookEndpoint]:
    """Return the organisation's webhooks by name. Raises `NotAllowed`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    return list(WebhookEndpoint.objects.for_actor(actor).order_by("name", "pk"))


def get_webhook(actor: Actor, webhook_id: int) -> WebhookEndpoint:
    """Return the webhook. Raises `NoSuchWebhook`, `NotAllowed`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    webhook = WebhookEndpoint.objects.for_actor(actor).filter(pk=webhook_id).first()
    if webhook is None:
        raise NoSuchWebhook
    return webhook


def create_webhook(actor: Actor, data: WebhookInput) -> tuple[WebhookEndpoint, Secret]:
    """Create a webhook. Its secret is shown once. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    if WebhookEndpoint.objects.for_actor(actor).count() >= WEBHOOKS_MAX:
        raise Refused(_("An organisation can have at most %(count)d webhooks.") % {"count": WEBHOOKS_MAX})
    cleaned = _clean(actor, data)
    webhook = WebhookEndpoint.objects.create(
        organisation_id=actor.organisation_id,
        created_by_id=None if actor.is_operator else actor.membership_id,
        name=cleaned.name,
        url=cleaned.url,
        events=list(cleaned.events),
        divisions=list(cleaned.divisions),
    )
    secret = _store_new_secret(webhook)
    _record(actor.audit, webhook, WebhookAction.CREATED, after=_audit_details(cleaned))
    return webhook, secret


def change_webhook(actor: Actor, webhook_id: int, data: WebhookInput) -> WebhookEndpoint:
    """Change a webhook. Raises `Refused` and `NoSuchWebhook`."""
    webhook, cleaned = get_webhook(actor, webhook_id), _clean(actor, data)
    before = WebhookInput(
        name=webhook.name, url=webhook.url, events=webhook.events, divisions=webhook.divisions
    )
    changed_fields = ["name", "url", "events", "divisions"]
    if webhook.url != cleaned.url:
        webhook.paused_until = None
        changed_fields.append("paused_until")
    webhook.name, webhook.url, webhook.events, webhook.divisions = (
        cleaned.name,
        cleaned.url,
        list(cleaned.events),
        list(cleaned.divisions),
    )
    webhook.save(update_fields=changed_fields)
    if before != cleaned:
        _record(
            actor.audit,
            webhook,
            WebhookAction.CHANGED,
            before=_audit_details(before),
            after=_audit_details(cleaned),
        )
    return webhook


def set_enabled(actor: Actor, webhook_id: int, *, on: bool) -> WebhookEndpoint:
    """Switch the webhook on or off. Off, its waiting messages fail, and can be sent again from the log."""
    webhook = get_webhook(actor, webhook_id)
    if webhook.is_active == on:
        return webhook
    webhook.is_active, webhook.failing_since, webhook.disabled_reason = on, None, ""
    webhook.save(update_fields=["is_active", "failing_since", "disabled_reason"])
    if not on:
        _fail_pending_deliveries(webhook)
    _record(actor.audit, webhook, WebhookAction.ENABLED if on else WebhookAction.DISABLED)
    return webhook


def renew_secret(actor: Actor, webhook_id: int) -> Secret:
    """Return a new secret, which is shown once; the old one signs as well for a day."""
    webhook = get_webhook(actor, webhook_id)
    webhook.previous_secret = encrypt_column(webhook, "previous_secret", current_secret(webhook))
    webhook.previous_until = timezone.now() + PREVIOUS_SECRET_VALID_FOR
    secret = _store_new_secret(webhook)
    _record(actor.audit, webhook, WebhookAction.SECRET_ROTATED)
    return secret


def remove_webhook(actor: Actor, webhook_id: int) -> None:
    """Remove a webhook with its log."""
    webhook = get_webhook(actor, webhook_id)
    _record(actor.audit, webhook, WebhookAction.REMOVED, before={"url": webhook.url})
    webhook.delete()


def send_test(actor: Actor, webhook_id: int) -> WebhookDelivery:
    """Create a test message, which is sent within seconds; the log shows the answer. Raises `Refused` and
    `Quarantined`."""
    webhook = get_webhook(actor, webhook_id)
    quarantine.refuse()
    _require_active(webhook)
    _record(actor.audit, webhook, WebhookAction.TESTED)
    return enqueue_delivery(webhook, TEST, test_payload(webhook))


def redeliver(actor: Actor, webhook_id: int, delivery_ids: Collection[int] | None = None) -> int:
    """Send these messages again under the ids they had; all that failed when none is named. Returns how many.
    Raises `Refused` and `Quarantined`."""
    webhook = get_webhook(actor, webhook_id)
    quarantine.refuse()
    _require_active(webhook)
    deliveries = WebhookDelivery.objects.for_actor(actor).filter(webhook=webhook)
    condition = (
        Q(state=DeliveryState.FAILED)
        if delivery_ids is None
        else Q(pk__in=delivery_ids, state__in=_FINAL_STATES)
    )
    count = deliveries.filter(condition).update(
        state=DeliveryState.WAITING,
        attempts=0,
        due_at=first_attempt_at(webhook),
        leased_until=None,
        reason="",
    )
    if count:
        _record(actor.audit, webhook, WebhookAction.REDELIVERED, count=count)
        WEBHOOK_OUTBOX.enqueue({"organisation_id": actor.organisation_id, "webhook_id": webhook.pk})
    return count


def list_deliveries(
    actor: Actor, webhook_id: int, *, state: str = "", limit: int = 100
) -> list[WebhookDelivery]:
    """Return the webhook's messages, the newest first. Raises `NoSuchWebhook`."""
    webhook = get_webhook(actor, webhook_id)
    deliveries = WebhookDelivery.objects.for_actor(actor).filter(webhook=webhook)
    if state:
        deliveries = deliveries.filter(state=state)
    return list(deliveries.order_by("-created_at", "-pk")[:limit])


def disable(webhook: WebhookEndpoint, reason: WebhookReason) -> None:
    """Switch off a webhook that is gone or accepted nothing for days, and notify who created it. In scope."""
    stopped = WebhookEndpoint.objects.in_organisation(webhook.organisation_id).filter(
        pk=webhook.pk, is_active=True
    )
    if not stopped.update(is_active=False, disabled_reason=reason):
        return
    _fail_pending_deliveries(webhook)
    _record(SYSTEM_ACTOR, webhook, WebhookAction.AUTO_DISABLED, reason=reason)
    open_event(
        webhook.organisation_id,
        NotificationEvent.WEBHOOK_DISABLED,
        EventKey("webhook", webhook.pk),
        responsible=webhook.created_by_id,
        context={"name": webhook.name, "reason": reason},
        link=webhook.get_absolute_url(),
    )


def current_secret(webhook: WebhookEndpoint) -> Secret:
    """Return the secret. Raises `DecryptionError`."""
    return decrypt_column(webhook, "secret")


def secrets_in_use(webhook: WebhookEndpoint) -> list[Secret]:
    """Return the secrets that sign, the newest first. Raises `DecryptionError`."""
    secrets = [current_secret(webhook)]
    if webhook.previous_secret and webhook.previous_until and webhook.previous_until > timezone.now():
        secrets.append(decrypt_column(webhook, "previous_secret"))
    return secrets


def _store_new_secret(webhook: WebhookEndpoint) -> Secret:
    secret = new_secret()
    webhook.secret = encrypt_column(webhook, "secret", secret)
    webhook.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def _clean(actor: Actor, data: WebhookInput) -> WebhookInput:
    """Return the input normalised. Whether the address may be called is decided when it is: names move.
    Raises `Refused`."""
    name, url = clean_text(data.name), clean_text(data.url)
    if not name:
        raise Refused(_("Enter a name."), field="name")
    schemes = ["https", "http"] if settings.WEBHOOK_NETWORKS else ["https"]
    try:
        URLValidator(schemes=schemes)(url.replace("//localhost", "//localhost.localdomain"))
        parts = urlsplit(url) if url.isascii() and urlsplit(url).port != 0 else None
    except (ValidationError, ValueError):  # a port that there cannot be is a ValueError
        parts = None
    if parts is None or parts.username or parts.fragment or len(url) > 500:
        message = _("“%(url)s” is not a valid address. It must start with https://.") % {"url": url[:200]}
        raise Refused(message, field="url")
    available = webhook_event_types()
    if "" in data.events:
        raise Refused(_("Choose at least one event, or all events."), field="events")
    if unknown := [name for name in data.events if name not in available]:
        raise Refused(
            _("The event “%(event)s” does not exist.") % {"event": str(unknown[0])[:60]}, field="events"
        )
    return WebhookInput(
        name=name,
        url=url,
        events=sorted(set(data.events)),
        divisions=_validate_divisions(actor, data.divisions),
    )


def _validate_divisions(actor: Actor, division_ids: Collection[int]) -> list[int]:
    divisions = Division.objects.for_actor(actor).filter(archived_at=None, pk__in=list(division_ids))
    ids = list(divisions.order_by("pk").values_list("pk", flat=True))
    if len(ids) < len(set(division_ids)):
        message = _("Choose at least one division, or the whole organisation.")
        raise Refused(message, field="divisions")
    return ids


def _audit_details(data: WebhookInput) -> dict[str, object]:
    """Return the input with names of divisions: they may be gone when the audit log is read."""
    names = (
        Division.objects.filter(pk__in=list(data.divisions)).order_by("name").values_list("name", flat=True)
    )
    return {**vars(data), "divisions": list(names)}


def _require_active(webhook: WebhookEndpoint) -> None:
    if not webhook.is_active:
        raise Refused(_("The webhook is switched off. Switch it on first."))


def _fail_pending_deliveries(webhook: WebhookEndpoint) -> None:
    waiting = WebhookDelivery.objects.in_organisation(webhook.organisation_id).filter(
        webhook=webhook, state=DeliveryState.WAITING
    )
    waiting.update(state=DeliveryState.FAILED, reason=WebhookReason.DISABLED)


def _record(
    audit_actor: AuditActor, webhook: WebhookEndpoint, action: WebhookAction, **details: object
) -> None:
    record(
        webhook.organisation_id,
        audit_actor,
        action,
        subject=Subject(SubjectKind.WEBHOOK, webhook.pk, webhook.name),
        details=details,
    )
