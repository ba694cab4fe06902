"""Runs, checkpoints, and the change log. At most one run per administration is open.

A worker that holds a run knows its `attempt` number. The transaction of every page first checks that the
number is still current, so a worker that was suspended cannot write beside its successor.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.administrations.models import Administration
from koppel.kit.database.json_fields import TypedJSONField
from koppel.kit.tenancy.models import TenantModel


class RunState(models.TextChoices):
    QUEUED = "queued", _("Queued")
    RUNNING = "running", _("Running")
    SUCCEEDED = "succeeded", _("Succeeded")
    PARTIAL = "partial", _("Partly succeeded")
    FAILED = "failed", _("Failed")
    CANCELLED = "cancelled", _("Cancelled")


OPEN_STATES = (RunState.QUEUED, RunState.RUNNING)


class Trigger(models.TextChoices):
    IMPORT = "import", _("Import")
    SCHEDULE = "schedule", _("Schedule")
    MANUAL = "manual", _("Manual")


class RunReason(models.TextChoices):
    """The reasons why a run waits or ended, where Koppel is the cause.

    Otherwise `reason_code` is the code of the connector's error.
    """

    CANCELLED = "cancelled"
    CONNECTION_REMOVED = "connection_removed"
    CRASHED = "crashed"
    DATABASE = "database"
    OUTAGE = "outage"
    PROCESS_KILLED = "process_killed"
    STOPPED = "stopped"


class Run(TenantModel):
    """One sync of one administration."""

    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="runs"
    )
    trigger = models.CharField(max_length=20, choices=Trigger)
    full = models.BooleanField(default=False)
    resources = TypedJSONField(list[str], null=True)
    """NULL: all that the settings include."""
    state = models.CharField(max_length=20, choices=RunState, default=RunState.QUEUED)
    attempt = models.IntegerField(default=0)
    failures = models.IntegerField(default=0)
    """Consecutive attempts without progress while the vendor was unreachable."""
    crashes = models.IntegerField(default=0, db_default=0)
    """Attempts that ended with an unexpected error of Koppel."""
    worker_losses = models.IntegerField(default=0, db_default=0)
    """Attempts since the last committed page whose worker died or froze."""
    outage_since = models.DateTimeField(null=True)
    """Since then the database returned errors; attempts that ended with one are not counted."""
    last_outage_at = models.DateTimeField(null=True)
    """When the database returned the last of these errors."""
    worker = models.CharField(max_length=120, default="")
    requested_by = models.CharField(max_length=200, default="")
    created_at = models.DateTimeField(auto_now_add=True)
    not_before = models.DateTimeField(null=True)
    """Until then the run waits for the vendor (rate limit, unreachable) without occupying a worker."""
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    """Renewed every 5 s; after 15 s without a heartbeat another worker claims the run."""
    finished_at = models.DateTimeField(null=True)
    reason_code = models.CharField(max_length=60, default="")
    reason = models.TextField(default="")

    class Meta:
        db_table = "sync_run"
        constraints = [
            models.UniqueConstraint(
                fields=["administration"],
                condition=models.Q(state__in=["queued", "running"]),
                name="one_open_run",
            )
        ]
        indexes = [
            models.Index(fields=["administration", "-created_at"], name="runs_of_administration"),
            models.Index(fields=["organisation", "state"], name="runs_by_state"),
            models.Index(
                fields=["state", "heartbeat_at"],
                condition=models.Q(state__in=["queued", "running"]),
                name="open_runs",
            ),
            models.Index(
                fields=["organisation", "trigger", "attempt", "id"],
                condition=models.Q(state="queued"),
                name="queued_runs",
            ),
            models.Index(
                fields=["organisation", "created_at", "id"],
                condition=models.Q(state="queued", trigger="import", attempt__gt=0),
                name="begun_imports",
            ),
            models.Index(
                fields=["not_before"],
                condition=models.Q(state="queued", not_before__isnull=False),
                name="delayed_runs",
            ),
            models.Index(
                fields=["organisation", "-finished_at"],
                condition=models.Q(state="succeeded"),
                name="recent_runs",
            ),
        ]

    @property
    def seconds(self) -> int | None:
        """Return the duration in seconds of a run that has ended."""
        return (
            round((self.finished_at - self.started_at).total_seconds())
            if self.started_at and self.finished_at
            else None
        )

    def __str__(self) -> str:
        return f"run {self.pk} of administration {self.administration_id}"


class ResourceState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    SKIPPED = "skipped", _("Not available")
    FAILED = "failed", _("Failed")


class RunResource(TenantModel):
    """One resource in one run."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, db_constraint=False, related_name="run_resources")
    resource = models.CharField(max_length=40)
    position = models.IntegerField()
    state = models.CharField(max_length=20, choices=ResourceState, default=ResourceState.WAITING)
    mode = models.CharField(max_length=20, default="")
    pages = models.IntegerField(default=0)
    rows = models.IntegerField(default=0)
    """Records that were read."""
    lines = models.IntegerField(default=0)
    """The entry lines among them."""
    expected_total = models.IntegerField(null=True)
    """The total that the vendor states, if it does (of entry lines, for entries)."""
    added = models.IntegerField(default=0)
    changed = models.IntegerField(default=0)
    deleted = models.IntegerField(default=0)
    rejected = models.IntegerField(default=0)
    renormalised = models.IntegerField(default=0)
    """Records and lines that did not change, but that another version had normalised."""
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    reason = models.TextField(default="")

    class Meta:
        db_table = "sync_run_resource"
        constraints = [models.UniqueConstraint(fields=["run", "resource"], name="resource_once_per_run")]

    def __str__(self) -> str:
        return f"{self.resource} in run {self.run_id}"


class Checkpoint(TenantModel):
    """The position reached in a resource; written only together with the records it covers."""

    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="checkpoints"
    )
    resource = models.CharField(max_length=40)
    resume_cursor = models.TextField(default="")
    """The position in an unfinished read; '' = none."""
    read_mode = models.CharField(max_length=20, default="")
    """The mode of the unfinished read."""
    read_id = models.BigIntegerField(default=0)
    """The number of the read."""
    read_started_at = models.DateTimeField(null=True)
    """The start of the unfinished read."""
    incremental_cursor = models.TextField(default="")
    """The vendor's mark from which the next incremental read starts."""
    complete_as_of = models.DateTimeField(null=True)
    """The start of the newest finished read."""
    last_full_at = models.DateTimeField(null=True)
    """The start of the newest finished full read."""
    fiscal_years_back = models.IntegerField(default=0)
    """The fiscal years before the current one that the newest full read covered."""
    is_verifying_deletes = models.BooleanField(default=False)
    """Whether rows were missing in a full read: their partition is read again before they are marked as
    deleted.
    """
    is_inconsistent = models.BooleanField(default=False)
    """Whether a partition could not be proved, so that the read does not count as complete."""
    seen_count = models.BigIntegerField(default=0)
    """During a full read, the number of keys stored in `sync_read_key`."""
    available = models.BooleanField(default=True)
    unavailable_reason = models.TextField(default="")

    class Meta:
        db_table = "sync_checkpoint"
        constraints = [models.UniqueConstraint(fields=["administration", "resource"], name="one_checkpoint")]

    def __str__(self) -> str:
        return f"{self.resource} of administration {self.administration_id}"


class NormalisationState(TenantModel):
    """How far the stored rows of a resource are known to be of one version of normalisation."""

    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="normalisation_states"
    )
    resource = models.CharField(max_length=40)
    version = models.IntegerField()
    """The version that the rows are compared with."""
    is_complete = models.BooleanField(default=False)
    last_key = models.TextField(default="")
    """The last row of the newest batch; '' before the first."""
    renormalised = models.BigIntegerField(default=0)
    """The rows that were written; 0 again when all resources of the administration are complete."""
    rejected = models.BigIntegerField(default=0)
    """The rows that this version cannot normalise; they stay as they are."""

    class Meta:
        db_table = "sync_normalisation_state"
        constraints = [
            models.UniqueConstraint(fields=["administration", "resource"], name="one_normalisation_state")
        ]

    def __str__(self) -> str:
        return f"{self.resource} of administration {self.administration_id}"


class ReadKey(models.Model):
    """A key that an unfinished full read has read; the table is empty between reads.

    Unlogged: lost in a database crash, after which the unfinished read starts again.
    """

    pk = models.CompositePrimaryKey("administration_id", "resource", "read_id", "external_id")
    organisation_id = models.BigIntegerField()
    administration_id = models.BigIntegerField()
    resource = models.CharField(max_length=40)
    read_id = models.BigIntegerField()
    external_id = models.TextField()

    class Meta:
        db_table = "sync_read_key"

    def __str__(self) -> str:
        return f"{self.resource} {self.external_id}"


class ChangeKind(models.TextChoices):
    ADDED = "added", _("Added")
    CHANGED = "changed", _("Changed")
    DELETED = "deleted", _("Deleted")


class Change(models.Model):
    """A record that a run added, changed or deleted.

    The first full read of a resource is the baseline: its rows are counted in the run, carry `first_seen`,
    and are not logged.
    """

    id = models.BigAutoField(primary_key=True)
    organisation_id = models.BigIntegerField()
    administration_id = models.BigIntegerField()
    run_id = models.BigIntegerField()
    resource = models.CharField(max_length=40)
    external_id = models.TextField()
    kind = models.CharField(max_length=10, choices=ChangeKind)
    at = models.DateTimeField()
    before = models.BinaryField(null=True)
    """The payload before the change; NULL: none."""
    after = models.BinaryField(null=True)
    """The payload after the change; NULL: none."""
    period = models.CharField(max_length=10, default="")
    """The period of an entry, line or balance."""
    in_closed_period = models.BooleanField(default=False)
    """Whether the source had closed the period."""
    left_period = models.CharField(max_length=10, default="")
    """The closed period that an entry left for `period`, which is closed too; '' for any other change."""
    normalisation_version = models.IntegerField(default=1)
    """The version that normalised the record at that time."""

    class Meta:
        db_table = "sync_change"
        indexes = [
            models.Index(fields=["administration_id", "-at"], name="changes_by_time"),
            models.Index(fields=["administration_id", "run_id", "id"], name="changes_of_run"),
            models.Index(fields=["organisation_id", "at"], name="changes_of_organisation"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.resource} {self.external_id}"


class RejectedRecord(TenantModel):
    """A record that could not be understood, with its bytes as evidence.

    Deleted once the record is understood.
    """

    administration = models.ForeignKey(
        Administration, on_delete=models.CASCADE, db_constraint=False, related_name="rejected_records"
    )
    run_id = models.BigIntegerField()
    resource = models.CharField(max_length=40)
    external_id = models.TextField()
    reason = models.TextField()
    raw = models.BinaryField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "sync_rejected_record"
        constraints = [
            models.UniqueConstraint(
                fields=["administration", "resource", "external_id"], name="rejected_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.external_id}: {self.reason}"
