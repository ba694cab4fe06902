"""The audit log. The application role may read it, and append to it through `audit_append` alone: see
`koppel.kit.tenancy.privileges`.
"""

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
    """The interface through which an action came."""

    WEB = "web", _("Web")
    API = "api", _("API")
    CLI = "cli", _("Command line")
    JOB = "job", _("Job")


AuditDetails = dict[str, Any]
"""Open: every action has details of its own, and entries of years ago stay as they were written."""
AuditParts = dict[str, dict[str, str]]
"""By path of a value: its salt, or the digest of an erased value."""


class AuditEntry(models.Model):
    """One action. `action` is a stable word such as `administrations.assigned`; `details` holds `before` and
    `after`, never a secret.

    `actor_id` is the person, also for an action of one of their API tokens; the token's name is then in
    `actor_name`. `organisation_id` 0: of the installation. `salt` is that of all values; after an erasure it
    is None and `parts` holds the salts of what is left and the digests of what was erased.
    """

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
    salt = models.BinaryField(null=True)
    parts = TypedJSONField(AuditParts, null=True)

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


class PendingLink(models.Model):
    """An entry without a link, with the transaction that wrote it. `audit_link_pending` takes it away."""

    entry_id = models.BigIntegerField(primary_key=True)
    organisation_id = models.BigIntegerField()
    transaction_id = models.BigIntegerField()

    class Meta:
        db_table = "audit_pending_link"
        indexes = [
            models.Index(
                fields=["organisation_id", "transaction_id", "entry_id"], name="audit_pending_in_order"
            )
        ]

    def __str__(self) -> str:
        return f"entry {self.entry_id}"


class Link(models.Model):
    """A link of an organisation's chain: the digest of one entry, and the hash of all up to it.

    It holds no text and stays when the entry is deleted at the end of its retention.
    """

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    position = models.BigIntegerField()
    entry_id = models.BigIntegerField()
    at = models.DateTimeField()
    digest = models.BinaryField()
    link = models.BinaryField()

    class Meta:
        db_table = "audit_link"
        constraints = [
            models.UniqueConstraint(fields=["organisation_id", "position"], name="link_position_once"),
            models.UniqueConstraint(fields=["organisation_id", "entry_id"], name="entry_linked_once"),
        ]

    def __str__(self) -> str:
        return f"link {self.position} of {self.organisation_id}"


class Chain(models.Model):
    """The head of a chain: its length and last link. Entries up to `expired_through` are past retention."""

    organisation_id = models.BigIntegerField(primary_key=True)
    length = models.BigIntegerField(default=0)
    head = models.BinaryField()
    expired_through = models.BigIntegerField(default=0)

    class Meta:
        db_table = "audit_chain"

    def __str__(self) -> str:
        return f"chain of {self.organisation_id}, {self.length} links"


class SignedHead(models.Model):
    """A head that was signed; `koppel.audit.signing_keys` says over which bytes."""

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    length = models.BigIntegerField()
    head = models.BinaryField()
    signed_at = models.DateTimeField()
    key_id = models.TextField()
    signature = models.BinaryField()

    class Meta:
        db_table = "audit_signed_head"
        indexes = [models.Index(fields=["organisation_id", "-length"], name="signed_heads_of_chain")]

    def __str__(self) -> str:
        return f"head {self.length} of {self.organisation_id}"


class HeadDelivery(models.Model):
    """The one row that says which signed heads the SIEM has received."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    delivered_through = models.BigIntegerField(default=0)

    class Meta:
        db_table = "audit_head_delivery"
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_head_delivery")]

    def __str__(self) -> str:
        return f"delivered through {self.delivered_through}"


class Occurrence(models.Model):
    """Counts an action that an attacker can repeat at will: the first one within a window is an entry, those
    after it are one more entry at its end. `addresses`: the first few.
    """

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    action = models.CharField(max_length=80)
    subject_kind = models.CharField(max_length=40, default="")
    subject_id = models.BigIntegerField(default=0)
    subject_name = models.TextField(default="")
    began_at = models.DateTimeField(db_default=Now())
    last_at = models.DateTimeField(db_default=Now())
    count = models.BigIntegerField(default=1)
    addresses = TypedJSONField(list[str], default=list)

    class Meta:
        db_table = "audit_occurrence"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation_id", "action", "subject_kind", "subject_id"], name="one_open_window"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.count} times"
