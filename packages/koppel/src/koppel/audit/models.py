"""The audit log. The application role may insert and read, never change: see
`koppel.kit.tenancy.privileges`."""

from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from koppel.kit.database.json_fields import TypedJSONField


class ActorKind(models.TextChoices):
    PERSON = "person", _("Person")
    TOKEN = "token", _("API token")
    JOB = "job", _("Job")
    OPERATOR = "operator", _("Operator")


class Interface(models.TextChoices):
    """How an action came in."""

    WEB = "web", _("Web")
    API = "api", _("API")
    CLI = "cli", _("Command line")
    JOB = "job", _("Job")


AuditDetails = dict[str, Any]
"""Open: every action has details of its own, and entries of years ago stay as they were written."""


class AuditEntry(models.Model):
    """One action. `action` is a stable word such as `administrations.assigned`; `details` holds `before` and
    `after`, never a secret.

    `actor_id` is the person, also for an action of one of their API tokens; the token's name is then in
    `actor_name`."""

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.TextField(default="")
    ip_address = models.TextField(default="")
    interface = models.CharField(max_length=10, choices=Interface, default=Interface.JOB)
    action = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=40, default="")
    subject_id = models.BigIntegerField(null=True)
    subject_name = models.TextField(default="")
    details = TypedJSONField(AuditDetails, default=dict)

    class Meta:
        db_table = "audit_entry"
        indexes = [
            models.Index(fields=["organisation_id", "-at"], name="audit_by_time"),
            models.Index(
                fields=["organisation_id", "subject_kind", "subject_id", "-at"], name="audit_by_subject"
            ),
            models.Index(fields=["organisation_id", "actor_id", "-at"], name="audit_by_person"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject_kind} {self.subject_id}"
