"""Lookups at company registers with their results, and the recent calls of each register."""

from django.db import models
from django.utils import timezone

from koppel.company_registers.clients.protocol import CompanyCandidate, LookupOutcome, QueryKind
from koppel.kit.database.json_fields import TypedJSONField
from koppel.kit.tenancy.models import TenantModel


class Lookup(TenantModel):
    """A query at a register, made once for the organisation for any number of its administrations.

    The earlier result stays until the next one comes.
    """

    country = models.CharField(max_length=2)
    kind = models.CharField(max_length=10, choices=[(member.value, member.value) for member in QueryKind])
    value = models.CharField(max_length=300)
    outcome = models.CharField(
        max_length=20, default="", choices=[(member.value, member.value) for member in LookupOutcome]
    )
    """'' = neither answered nor failed yet."""
    source = models.CharField(max_length=20, default="")
    number = models.CharField(max_length=60, default="")
    legal_name = models.CharField(max_length=400, default="")
    closed_on = models.DateField(null=True)
    activity_code = models.CharField(max_length=20, default="")
    activity_scheme = models.CharField(max_length=20, default="")
    activity_label = models.CharField(max_length=400, default="")
    candidates = TypedJSONField(list[CompanyCandidate], default=list)
    requested_at = models.DateTimeField(default=timezone.now)
    """When the query was last needed."""
    answered_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    """When the query is to be made (again); NULL = not waiting."""
    leased_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    reason = models.CharField(max_length=60, default="")
    """The code of why the last attempt gave no result."""

    class Meta:
        db_table = "company_registers_lookup"
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "country", "kind", "value"], name="lookup_unique_query"
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "due_at"],
                condition=models.Q(due_at__isnull=False),
                name="lookups_due",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} in {self.country}"


class RegisterRateLimit(models.Model):
    """The recent calls of a register, by all workers and organisations together. The row names no company."""

    source = models.CharField(max_length=20, primary_key=True)
    window_started_at = models.DateTimeField()
    call_count = models.IntegerField()
    backoff_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "company_registers_rate_limit"

    def __str__(self) -> str:
        return self.source
