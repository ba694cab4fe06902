"""The audit actions of notifications."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class NotificationAction(AuditAction):
    """Actions on notification preferences."""

    DELIVERY_SETTINGS_CHANGED = "notifications.delivery_settings_changed", _("changed notification settings")


class WebhookAction(AuditAction):
    """Actions on webhooks."""

    AUTO_DISABLED = "webhook.auto_disabled", _("switched off a webhook without accepted messages")
    CHANGED = "webhook.changed", _("changed a webhook")
    CREATED = "webhook.created", _("created a webhook")
    DISABLED = "webhook.disabled", _("switched a webhook off")
    ENABLED = "webhook.enabled", _("switched a webhook on")
    REDELIVERED = "webhook.redelivered", _("resent messages of a webhook")
    REMOVED = "webhook.removed", _("removed a webhook")
    SECRET_ROTATED = "webhook.secret_rotated", _("created a new secret for a webhook")
    TESTED = "webhook.tested", _("tested a webhook")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *NotificationAction,
    *WebhookAction,
)
