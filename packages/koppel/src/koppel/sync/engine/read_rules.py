"""Decides which reads a resource needs in a run, and where each starts; `run_reader` executes them.

Changes are read before the full read. Otherwise an entry that moved to another period would look
deleted when its old period is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from koppel.connector.contract import ReadMode, ResourceSpec
from koppel.sync.engine.run_start import SyncPlan
from koppel.sync.runs.checkpoints import CheckpointState
from koppel.sync.runs.claims import ClaimedRun

CHILDREN = {"entries": "entry_lines"}
"""Resources whose records contain the records of another resource."""


@dataclass(frozen=True)
class ReadRules:
    """The requirements of a run on the reads of its resources."""

    resources: frozenset[str]
    fiscal_years_back: int
    full_comparison_weekday: int
    """The weekday of the full read; Monday = 0."""
    full_requested_at: datetime | None
    """When a full read was requested; None: it was not."""
    zone: tzinfo
    """The time zone of the installation."""

    @classmethod
    def of_run(cls, run: ClaimedRun, plan: SyncPlan, zone: tzinfo) -> "ReadRules":
        resources = frozenset(plan.resources)
        if run.resources is not None:
            resources &= frozenset(run.resources)
        return cls(
            resources=resources,
            fiscal_years_back=plan.fiscal_years_back,
            full_comparison_weekday=plan.full_comparison_weekday,
            full_requested_at=run.created_at if run.full else None,
            zone=zone,
        )

    def choose(self, specs: Sequence[ResourceSpec]) -> list[ResourceSpec]:
        """Return the resources of the run, in the connector's order."""
        return [spec for spec in specs if spec.key in self.resources]

    def first_read(self, spec: ResourceSpec, checkpoint: CheckpointState, at: datetime) -> CheckpointState:
        """Return the checkpoint to start from.

        An unfinished read continues, unless a full read was requested after it began.
        """
        if checkpoint.resume_cursor and not self._predates_request(checkpoint):
            return checkpoint
        changes_first = (
            bool(checkpoint.incremental_cursor) and not checkpoint.is_baseline and spec.key in CHILDREN
        )
        if self._is_full_due(checkpoint, at) and not changes_first:
            return self._full_read(checkpoint, at)
        return _new_read(checkpoint, spec.read_modes[0], checkpoint.fiscal_years_back, at)

    def next_read(self, checkpoint: CheckpointState, at: datetime) -> CheckpointState | None:
        """Return the checkpoint of the next read after a finished one; None when there is no next read."""
        return self._full_read(checkpoint, at) if self.full_read_follows(checkpoint, at) else None

    def full_read_follows(self, checkpoint: CheckpointState, at: datetime) -> bool:
        """Return whether a full read follows this read."""
        return checkpoint.read_mode == ReadMode.MODIFIED_SINCE and self._is_full_due(checkpoint, at)

    def _is_full_due(self, checkpoint: CheckpointState, at: datetime) -> bool:
        """Return whether a full read is due.

        It is: before the first one finished, on request, on its weekday, and when the settings require more
        fiscal years than were read.
        """
        return (
            self.full_requested_at is not None
            or not checkpoint.incremental_cursor
            or checkpoint.fiscal_years_back < self.fiscal_years_back
            or weekly_full_read_is_due(checkpoint.last_full_at, self.full_comparison_weekday, at, self.zone)
        )

    def _predates_request(self, checkpoint: CheckpointState) -> bool:
        """Return whether the unfinished read began before the full read was requested."""
        if self.full_requested_at is None:
            return False
        return checkpoint.read_started_at is None or checkpoint.read_started_at < self.full_requested_at

    def _full_read(self, checkpoint: CheckpointState, at: datetime) -> CheckpointState:
        return _new_read(checkpoint, ReadMode.FULL, self.fiscal_years_back, at)


def _new_read(
    checkpoint: CheckpointState, mode: ReadMode, fiscal_years_back: int, at: datetime
) -> CheckpointState:
    return replace(
        checkpoint,
        resume_cursor="",
        read_mode=mode,
        read_id=checkpoint.read_id + 1,
        read_started_at=at,
        fiscal_years_back=fiscal_years_back,
        is_verifying_deletes=False,
        is_inconsistent=False,
        seen_count=0,
    )


def weekly_full_read_is_due(last: datetime | None, weekday: int, at: datetime, zone: tzinfo) -> bool:
    """Return whether the weekday of the full read has passed since the last one.

    A missed day is caught up by the next run.
    """
    if last is None:
        return True
    today = at.astimezone(zone).date()
    newest = today - timedelta(days=(today.weekday() - weekday) % 7)
    return last.astimezone(zone).date() < newest
