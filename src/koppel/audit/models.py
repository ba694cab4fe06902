"""The audit trail. The application role may insert and read, never change: see `koppel.kit.tenancy.grants`."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class ActorKind(models.TextChoices):
    PERSON = "person", _("Person")
    TOKEN = "token", _("API token")
    JOB = "job", _("Job")
    OPERATOR = "operator", _("Operator of the installation")


class Door(models.TextChoices):
    """The way an act came in."""

    SCREEN = "screen", _("Screen")
    API = "api", _("API")
    CLI = "cli", _("Command line")
    JOB = "job", _("Job")


class AuditEntry(models.Model):
    """One act. `act` is a stable word such as `administration.assigned`; `details` holds `before` and `after`, no secrets.

    `actor_id` is the person, also for an act of one of their API tokens; the token's name then stands in `actor_name`."""

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.TextField(default="")
    from_address = models.TextField(default="")
    door = models.CharField(max_length=10, choices=Door, default=Door.JOB)
    act = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=40, default="")
    subject_id = models.BigIntegerField(null=True)
    subject_name = models.TextField(default="")
    details = models.JSONField(default=dict)

    class Meta:
        db_table = "audit_entry"
        indexes = [
            models.Index(fields=["organisation_id", "-at"], name="audit_by_time"),
            models.Index(fields=["organisation_id", "subject_kind", "subject_id", "-at"], name="audit_by_subject"),
            models.Index(fields=["organisation_id", "actor_id", "-at"], name="audit_by_person"),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject_kind} {self.subject_id}"
