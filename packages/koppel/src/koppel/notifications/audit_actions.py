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


class QuarantineAction(AuditAction):
    """Quarantine of the installation."""

    ADOPTED = "quarantine.adopted", _("made this copy the installation that continues")
    ENDED = "quarantine.ended", _("ended the quarantine of the installation")
    REPLACED = "quarantine.replaced", _("let another installation take the place of this one")
    RESTORED = "quarantine.restored", _("restored the installation from a backup, into quarantine")
    STARTED = "quarantine.started", _("put the installation into quarantine")


AUDIT_ACTIONS: tuple[AuditAction, ...] = (
    *NotificationAction,
    *WebhookAction,
    *QuarantineAction,
)
