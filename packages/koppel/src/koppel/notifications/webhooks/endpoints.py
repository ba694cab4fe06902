"""Use cases of webhooks: create, change and remove one, and rotate its secret."""

from collections.abc import Collection
from datetime import timedelta
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.text import clean_text
from koppel.kit.encryption import Secret
from koppel.kit.encryption.fields import decrypt_column, encrypt_column
from koppel.notifications.audit_actions import WebhookAction
from koppel.notifications.errors import NoSuchWebhook
from koppel.notifications.event_types import webhook_event_types
from koppel.notifications.models import WebhookEndpoint
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.notifications.webhooks.networks import webhook_networks
from koppel.notifications.webhooks.signing import new_secret
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division
from koppel.organisations.roles import Actor, Permission

WEBHOOKS_MAX = 20
PREVIOUS_SECRET_VALID_FOR = timedelta(hours=24)
"""After a rotation, messages are signed with the previous secret too for this long."""


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


def create_webhook(actor: Actor, webhook_input: WebhookInput) -> tuple[WebhookEndpoint, Secret]:
    """Create a webhook. Returns it with its secret, which is shown once. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    if WebhookEndpoint.objects.for_actor(actor).count() >= WEBHOOKS_MAX:
        raise Refused(_("An organisation can have at most %(count)d webhooks.") % {"count": WEBHOOKS_MAX})
    cleaned = _normalise(actor, webhook_input)
    webhook = WebhookEndpoint.objects.create(
        organisation_id=actor.organisation_id,
        created_by_id=None if actor.is_operator else actor.membership_id,
        name=cleaned.name,
        url=cleaned.url,
        events=list(cleaned.events),
        divisions=list(cleaned.divisions),
    )
    secret = _store_new_secret(webhook)
    record_action(actor.audit, webhook, WebhookAction.CREATED, after=_audit_details(cleaned))
    return webhook, secret


def change_webhook(actor: Actor, webhook_id: int, webhook_input: WebhookInput) -> WebhookEndpoint:
    """Change a webhook. Raises `Refused` and `NoSuchWebhook`."""
    webhook, cleaned = get_webhook(actor, webhook_id), _normalise(actor, webhook_input)
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
        record_action(
            actor.audit,
            webhook,
            WebhookAction.CHANGED,
            before=_audit_details(before),
            after=_audit_details(cleaned),
        )
    return webhook


def rotate_secret(actor: Actor, webhook_id: int) -> Secret:
    """Replace the secret and return the new one, which is shown once. For a day messages are signed with
    both.
    """
    webhook = get_webhook(actor, webhook_id)
    webhook.previous_secret = encrypt_column(webhook, "previous_secret", current_secret(webhook))
    webhook.previous_until = timezone.now() + PREVIOUS_SECRET_VALID_FOR
    secret = _store_new_secret(webhook)
    record_action(actor.audit, webhook, WebhookAction.SECRET_ROTATED)
    return secret


def remove_webhook(actor: Actor, webhook_id: int) -> None:
    """Remove a webhook with its log."""
    webhook = get_webhook(actor, webhook_id)
    record_action(actor.audit, webhook, WebhookAction.REMOVED, before={"url": webhook.url})
    webhook.delete()


def current_secret(webhook: WebhookEndpoint) -> Secret:
    """Return the secret. Raises `DecryptionError`."""
    return decrypt_column(webhook, "secret")


def secrets_in_use(webhook: WebhookEndpoint) -> list[Secret]:
    """Return the secrets that sign, the newest first. Raises `DecryptionError`."""
    secrets = [current_secret(webhook)]
    if webhook.previous_secret and webhook.previous_until and webhook.previous_until > timezone.now():
        secrets.append(decrypt_column(webhook, "previous_secret"))
    return secrets


def record_action(
    audit_actor: AuditActor, webhook: WebhookEndpoint, action: WebhookAction, **details: object
) -> None:
    """Write an action on the webhook to the audit log."""
    add_audit_entry(
        webhook.organisation_id,
        audit_actor,
        action,
        subject=Subject(kind=SubjectKind.WEBHOOK, id=webhook.pk, name=webhook.name),
        details=details,
    )


def _store_new_secret(webhook: WebhookEndpoint) -> Secret:
    secret = new_secret()
    webhook.secret = encrypt_column(webhook, "secret", secret)
    webhook.save(update_fields=["secret", "previous_secret", "previous_until"])
    return secret


def _normalise(actor: Actor, webhook_input: WebhookInput) -> WebhookInput:
    """Return the input normalised. Raises `Refused`."""
    name = clean_text(webhook_input.name)
    if not name:
        raise Refused(_("Enter a name."), field="name")
    return WebhookInput(
        name=name,
        url=_normalise_url(actor, webhook_input.url),
        events=_validate_events(webhook_input.events),
        divisions=_validate_divisions(actor, webhook_input.divisions),
    )


def _normalise_url(actor: Actor, text: str) -> str:
    """Return the address without surrounding space. Its network is checked at each call, because the IP
    address behind a name may change. Raises `Refused`.
    """
    url = clean_text(text)
    schemes = ["https", "http"] if webhook_networks(actor.organisation_id) else ["https"]
    try:
        URLValidator(schemes=schemes)(url.replace("//localhost", "//localhost.localdomain"))
        parts = urlsplit(url) if url.isascii() and urlsplit(url).port != 0 else None
    except (ValidationError, ValueError):  # ValueError: a port out of range
        parts = None
    if parts is None or parts.username or parts.fragment or len(url) > 500:
        message = _("“%(url)s” is not a valid address. It must start with https://.") % {"url": url[:200]}
        raise Refused(message, field="url")
    return url


def _validate_events(event_types: Collection[str]) -> list[str]:
    available = webhook_event_types()
    if "" in event_types:
        raise Refused(_("Choose at least one event, or all events."), field="events")
    if unknown := [name for name in event_types if name not in available]:
        raise Refused(
            _("The event “%(event)s” does not exist.") % {"event": str(unknown[0])[:60]}, field="events"
        )
    return sorted(set(event_types))


def _validate_divisions(actor: Actor, division_ids: Collection[int]) -> list[int]:
    divisions = Division.objects.for_actor(actor).filter(archived_at=None, pk__in=list(division_ids))
    ids = list(divisions.order_by("pk").values_list("pk", flat=True))
    if len(ids) < len(set(division_ids)):
        message = _("Choose at least one division, or the whole organisation.")
        raise Refused(message, field="divisions")
    return ids


def _audit_details(webhook_input: WebhookInput) -> dict[str, object]:
    """Return the input with names of divisions: they may be gone when the audit log is read."""
    names = (
        Division.objects.filter(pk__in=list(webhook_input.divisions))
        .order_by("name")
        .values_list("name", flat=True)
    )
    return {**vars(webhook_input), "divisions": list(names)}
