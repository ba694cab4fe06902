"""The state of an installation."""

from django.db import models
from django.db.models.functions import Now

from koppel.kit.tenancy.installation_number import NUMBER_MAX


class Installation(models.Model):
    """The one row with the number of the installation. See `koppel.kit.tenancy.installation_number`."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "kit_installation"
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_installation"),
            models.CheckConstraint(condition=models.Q(number__lte=NUMBER_MAX), name="installation_number"),
        ]

    def __str__(self) -> str:
        return f"installation {self.number}"


class InstallationIdentity(models.Model):
    """The one row that tells this installation from its copies.

    See `koppel.kit.quarantine.installation_identity`.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    uid = models.UUIDField()
    system_identifier = models.TextField(default="", db_default="")
    seen_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "kit_installation_identity"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_identity")]

    def __str__(self) -> str:
        return f"identity {self.uid}"


class ReplacementRequest(models.Model):
    """A copy of this installation that asks to take its place. See `koppel.kit.quarantine.replacement`."""

    id = models.BigAutoField(primary_key=True)
    token_digest = models.CharField(max_length=64, unique=True)
    code_digest = models.CharField(max_length=64)
    sender = models.TextField()
    """The name of the machine that asks, as it says."""
    address = models.TextField()
    created_at = models.DateTimeField(db_default=Now())
    attempts = models.IntegerField(default=0)
    """The number of wrong codes."""
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.TextField(default="")

    class Meta:
        db_table = "kit_replacement_request"

    def __str__(self) -> str:
        return f"replacement by {self.sender}"


class Quarantine(models.Model):
    """A period in which nothing leaves the installation; the open one has no `ended_at`.

    See `koppel.kit.quarantine`. `sends_pending`: email and webhook messages from before are sent after all.
    Names are operating system accounts. `reason`: see `koppel.kit.quarantine.reasons`.
    """

    id = models.BigAutoField(primary_key=True)
    began_at = models.DateTimeField(db_default=Now())
    began_by = models.TextField(default="")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.TextField(default="")
    sends_pending = models.BooleanField(default=False)
    reason = models.TextField(default="", db_default="")

    class Meta:
        db_table = "kit_quarantine"
        constraints = [
            models.UniqueConstraint(
                fields=["ended_at"],
                condition=models.Q(ended_at=None),
                nulls_distinct=False,
                name="one_open_quarantine",
            )
        ]

    def __str__(self) -> str:
        return f"quarantine since {self.began_at}"
