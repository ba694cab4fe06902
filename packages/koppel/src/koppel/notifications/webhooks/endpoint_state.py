"""The state of a webhook: enabled or disabled by an Administrator, failing, or disabled by Koppel because it
accepted nothing for days.
"""

from datetime import datetime, timedelta

import structlog
from django.utils.translation import gettext as _

from koppel.audit.services import KOPPEL_ACTOR
from koppel.notifications.audit_actions import WebhookAction
from koppel.notifications.models import WebhookDelivery, WebhookEndpoint
from koppel.notifications.webhooks.endpoints import get_webhook, record_action
from koppel.notifications.webhooks.hooks import webhook_disabled
from koppel.notifications.webhooks.outbox import RETRY_SCHEDULE, WEBHOOK_OUTBOX, lane_of
from koppel.notifications.webhooks.reasons import WebhookReason
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor

DISABLE_AFTER = timedelta(days=3)
"""A webhook that accepts nothing for this long is disabled."""

log = structlog.get_logger(__name__)


def enable(actor: Actor, webhook_id: int) -> WebhookEndpoint:
    """Enable the webhook: it receives the messages of later events."""
    return _set_enabled(actor, webhook_id, enabled=True)


def disable(actor: Actor, webhook_id: int) -> WebhookEndpoint:
    """Disable the webhook. Its waiting messages fail; they can be redelivered once it is enabled."""
    return _set_enabled(actor, webhook_id, enabled=False)


def require_enabled(webhook: WebhookEndpoint) -> None:
    """Raise `Refused` when the webhook is disabled."""
    if not webhook.is_enabled:
        raise Refused(_("The webhook is switched off. Switch it on first."))


def record_success(webhook: WebhookEndpoint, at: datetime) -> None:
    """Store that the webhook accepted a message: it is not failing. In scope."""
    webhook.failing_since, webhook.last_accepted_at = None, at
    webhook.save(update_fields=["failing_since", "last_accepted_at"])


def record_pause(webhook: WebhookEndpoint, until: datetime) -> None:
    """Send nothing before `until`, as the receiver requested, unless it requested a longer pause before. In
    scope.
    """
    webhook.paused_until = max(until, webhook.paused_until or until)
    webhook.save(update_fields=["paused_until"])
    WEBHOOK_OUTBOX.postpone(lane_of(webhook), until)


def record_failure(webhook: WebhookEndpoint, reason: str, at: datetime) -> None:
    """Store that the webhook accepted no message of a batch, and disable it when it is gone or has been
    failing for days. In scope.

    Waiting messages are postponed, because the next attempt would very likely fail too.
    """
    WEBHOOK_OUTBOX.postpone(lane_of(webhook), at + RETRY_SCHEDULE[0])
    if webhook.failing_since is None:
        webhook.failing_since = at
        webhook.save(update_fields=["failing_since"])
        log.info("webhook_failing", webhook=webhook.pk, reason=reason[:200])
    if reason == WebhookReason.GONE:
        _disable_unusable(webhook, WebhookReason.GONE)
    elif at - webhook.failing_since > DISABLE_AFTER:
        _disable_unusable(webhook, WebhookReason.UNRESPONSIVE)


def _set_enabled(actor: Actor, webhook_id: int, *, enabled: bool) -> WebhookEndpoint:
    webhook = get_webhook(actor, webhook_id)
    if webhook.is_enabled == enabled:
        return webhook
    webhook.is_enabled, webhook.failing_since, webhook.disabled_reason = enabled, None, ""
    webhook.save(update_fields=["is_enabled", "failing_since", "disabled_reason"])
    if not enabled:
        _fail_waiting_deliveries(webhook)
    record_action(actor.audit, webhook, WebhookAction.ENABLED if enabled else WebhookAction.DISABLED)
    return webhook


def _disable_unusable(webhook: WebhookEndpoint, reason: WebhookReason) -> None:
    """Disable the webhook and notify the member who created it."""
    if not webhook.is_enabled:
        return
    webhook.is_enabled, webhook.disabled_reason = False, reason
    webhook.save(update_fields=["is_enabled", "disabled_reason"])
    _fail_waiting_deliveries(webhook)
    record_action(KOPPEL_ACTOR, webhook, WebhookAction.AUTO_DISABLED, reason=reason)
    webhook_disabled(webhook)


def _fail_waiting_deliveries(webhook: WebhookEndpoint) -> None:
    deliveries = WebhookDelivery.objects.in_organisation(webhook.organisation_id).filter(webhook=webhook)
    WEBHOOK_OUTBOX.fail(deliveries, WebhookReason.DISABLED)
