"""Audit actions: a code that is stored, with the label that a person reads.

An app declares its own in its `audit_actions` and registers them in its `wiring`.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditAction(models.TextChoices):
    """Base of every app's actions. The value is the stored code, the label completes "who …"."""


class AuditLogAction(AuditAction):
    """Actions on the audit log itself."""

    EXPIRED = "audit.expired", _("deleted activity past its retention period")
    EXPORTED = "audit.exported", _("exported the activity")
    VERIFIED = "audit.verified", _("verified the activity")
    KEY_ROTATED = "audit.key_rotated", _("changed the key that signs the activity")


AUDIT_ACTIONS: tuple[AuditAction, ...] = tuple(AuditLogAction)
