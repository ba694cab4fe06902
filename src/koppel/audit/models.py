"""The audit trail. The application role may insert and read, never change: see `koppel.kit.tenancy.grants`."""

from django.db import models
from django.db.models.functions import Now


class ActorKind(models.TextChoices):
    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - the kind of actor, no secret
    JOB = "job"


class AuditEntry(models.Model):
    """One act. `act` is a stable word such as `administration.assigned`; `details` holds before and after, no secrets."""

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    actor_kind = models.CharField(max_length=10, choices=ActorKind)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.TextField(default="")
    from_address = models.TextField(default="")
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
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.subject_kind} {self.subject_id}"
