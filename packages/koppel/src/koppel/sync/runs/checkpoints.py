"""Checkpoints and counts of resources, which are saved with every page. Async psycopg."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from types import NoneType
from typing import Any, NamedTuple, get_args

import msgspec

from koppel.connector.contract import ReadMode
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import ResourceState
from koppel.sync.runs.claims import ClaimedRun


@dataclass
class CheckpointState:
    """A checkpoint as read; the fields are those of `sync.models.Checkpoint`."""

    resume_cursor: str = ""
    read_mode: str = ""
    read_id: int = 0
    read_started_at: datetime | None = None
    incremental_cursor: str = ""
    complete_as_of: datetime | None = None
    last_full_at: datetime | None = None
    fiscal_years_back: int = 0
    is_verifying_deletes: bool = False
    is_inconsistent: bool = False
    seen_count: int = 0

    @property
    def is_baseline(self) -> bool:
        """Return whether no full read has finished: all rows are new, and none can be deleted."""
        return self.last_full_at is None


class PlannedResource(NamedTuple):
    """A resource of a run."""

    state: str
    reason: str
    pages: int
    """How many pages of it the run has committed."""
    checkpoint: CheckpointState | None
    """None when it was never read."""


@dataclass(frozen=True)
class ResourceDelta:
    """The changes by a page of its resource of the run: counts are added, the other values replaced."""

    state: str
    mode: str
    expected_total: int | None = None
    pages: int = 1
    rows: int = 0
    lines: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    rejected: int = 0
    renormalised: int = 0


_SQL = load_statements("koppel.sync")
_COLUMNS = tuple(field.name for field in fields(CheckpointState))
_COUNTS = tuple(field.name for field in fields(ResourceDelta) if field.type is int)
_TYPES = {str: "text", int: "bigint", bool: "bool", datetime: "timestamptz"}


def _typed_columns(kind: type[CheckpointState | ResourceDelta]) -> Iterator[str]:
    """Yield each field with its PostgreSQL type, for `json_to_recordset`."""
    for field in fields(kind):
        [python_type] = {*(get_args(field.type) or (field.type,))} - {NoneType}
        yield f"{field.name} {_TYPES[python_type]}"


_LIST_RUN_RESOURCES = _SQL["list_run_resources"].format(
    checkpoint_columns=", ".join(f"checkpoint.{name}" for name in _COLUMNS)
)
_SAVE_CHECKPOINTS = _SQL["save_checkpoints"].format(
    columns=", ".join(_COLUMNS),
    typed_columns=", ".join((*_typed_columns(CheckpointState), *_typed_columns(ResourceDelta))),
    increments=", ".join(f"{name} = part.{name} + kept.{name}" for name in _COUNTS),
    replacements=", ".join(f"{name} = excluded.{name}" for name in _COLUMNS),
)


async def plan_resources(
    database_connection: DatabaseConnection, run: ClaimedRun, resources: Sequence[tuple[str, str]]
) -> dict[str, PlannedResource]:
    """Store the resources of the run (resource, reason or '') once, and return each as it is now."""
    await database_connection.execute(
        _SQL["insert_run_resources"],
        {
            "organisation": run.organisation_id,
            "run": run.id,
            "resources": [key for key, _reason in resources],
            "reasons": [reason for _key, reason in resources],
            "waiting": ResourceState.WAITING,
            "skipped": ResourceState.SKIPPED,
        },
    )
    rows = await database_connection.execute(
        _LIST_RUN_RESOURCES, {"administration": run.administration_id, "run": run.id}
    )
    return {
        str(resource): PlannedResource(
            str(state), str(reason), int(pages), CheckpointState(*values) if checkpoint_id else None
        )
        for resource, state, reason, pages, checkpoint_id, *values in await rows.fetchall()
    }


CheckpointUpdate = tuple[str, CheckpointState, ResourceDelta]


async def save_checkpoints(
    database_connection: DatabaseConnection, run: ClaimedRun, updates: Sequence[CheckpointUpdate]
) -> None:
    """Save the checkpoints and counts of the pages of one transaction, in one statement."""
    rows: dict[str, dict[str, Any]] = {}
    for resource, checkpoint, delta in updates:
        added = {"resource": resource, **vars(checkpoint), **vars(delta)}
        if before := rows.get(resource):
            added |= {name: getattr(delta, name) + before[name] for name in _COUNTS}
        rows[resource] = added
    await database_connection.execute(
        _SAVE_CHECKPOINTS,
        {
            "rows": msgspec.json.encode(list(rows.values())).decode(),
            "organisation": run.organisation_id,
            "administration": run.administration_id,
            "run": run.id,
            "done": ResourceState.DONE,
        },
    )


async def finish_resource(
    database_connection: DatabaseConnection, run: ClaimedRun, resource: str, state: str, reason: str
) -> None:
    """Record that a resource could not be read: skipped or failed, with the reason."""
    await database_connection.execute(
        _SQL["finish_run_resource"],
        {"state": state, "reason": reason, "run": run.id, "resource": resource},
    )


async def reset_cursor(database_connection: DatabaseConnection, run: ClaimedRun, resource: str) -> None:
    """Make a refused read start again next time, in the same mode.

    Its cursor may be invalid at the source and would be refused every time.
    """
    await database_connection.execute(
        _SQL["reset_checkpoint_cursor"],
        {"administration": run.administration_id, "resource": resource, "full": ReadMode.FULL},
    )


async def mark_unavailable(
    database_connection: DatabaseConnection, run: ClaimedRun, resource: str, reason: str
) -> None:
    await database_connection.execute(
        _SQL["mark_resource_unavailable"],
        {
            "organisation": run.organisation_id,
            "administration": run.administration_id,
            "resource": resource,
            "reason": reason,
        },
    )
