"""Hook of webhooks."""

from koppel.kit.hooks import Hook
from koppel.notifications.models import WebhookEndpoint

webhook_disabled = Hook[[WebhookEndpoint], None]()
"""Called after Koppel itself disabled a webhook, with its `disabled_reason`; in the caller's transaction."""
