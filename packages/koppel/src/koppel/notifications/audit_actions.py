"""The actions that this app writes to the audit log."""

from django.utils.translation import gettext_lazy as _

from koppel.audit.audit_actions import AuditAction


class NotificationAction(AuditAction):
    """Actions on notification preferences."""

    DELIVERY_SETTINGS_CHANGED = "notifications.delivery_settings_changed", _("chose what to be told")


class WebhookAction(AuditAction):
    """Actions on webhooks."""

    AUTO_DISABLED = "webhook.auto_disabled", _("switched a webhook off that accepted nothing")
    CHANGED = "webhook.changed", _("changed a webhook")
    CREATED = "webhook.created", _("made a webhook")
    DISABLED = "webhook.disabled", _("switched a webhook off")
    ENABLED = "webhook.enabled", _("switched a webhook on")
    REDELIVERED = "webhook.redelivered", _("sent messages of a webhook again")
    REMOVED = "webhook.removed", _("removed a webhook")
    SECRET_ROTATED = "webhook.secret_rotated", _("made a new secret for a webhook")
    TESTED = "webhook.tested", _("tested a webhook")


class QuarantineAction(AuditAction):
    """Quarantine of the installation."""

    ENDED = "quarantine.ended", _("ended the quarantine of the installation")
    STARTED = "quarantine.started", _("put the installation into quarantine")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *NotificationAction,
    *WebhookAction,
    *QuarantineAction,
)
