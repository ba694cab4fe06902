"""What an installation knows of itself."""

from django.db import models
from django.db.models.functions import Now


class Quarantine(models.Model):
    """A time in which nothing leaves the installation; the open one has no `ended_at`. See `koppel.kit.quarantine`.

    `sends_pending`: mail and webhook messages of before are sent after all. The names are those of accounts of the shell."""

    id = models.BigAutoField(primary_key=True)
    began_at = models.DateTimeField(db_default=Now())
    began_by = models.TextField(default="")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.TextField(default="")
    sends_pending = models.BooleanField(default=False)

    class Meta:
        db_table = "kit_quarantine"
        constraints = [
            models.UniqueConstraint(
                fields=["ended_at"], condition=models.Q(ended_at=None), nulls_distinct=False, name="one_open_quarantine"
            )
        ]

    def __str__(self) -> str:
        return f"quarantine since {self.began_at}"
