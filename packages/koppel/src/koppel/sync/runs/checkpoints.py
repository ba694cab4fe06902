"""How far each resource got, and what a run counts of it: the rows that are written with every page, over async psycopg."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import msgspec

from koppel.kit.database.pool import Connection
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
        """Whether nothing has been read completely yet: rows are new, and none can be absent."""
        return self.last_full_at is None


@dataclass(frozen=True)
class ResourceDelta:
    """What a page adds to a part of the run; `state`, `mode` and `expected_total` are set, not added."""

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


async def plan_resources(
    connection: Connection, claimed: ClaimedRun, resources: Sequence[tuple[str, str]]
) -> dict[str, tuple[str, str, CheckpointState | None]]:
    """Store the resources of the run (resource, reason or '') once. Returns the state of each with its reason and its
    checkpoint; None when it was never read."""
    await connection.execute(
        "INSERT INTO sync_run_resource (organisation_id, run_id, resource, position, state, mode, pages, rows, lines,"
        " added, changed, deleted, rejected, reason)"
        " SELECT %s, %s, resource, ordinal - 1, CASE reason WHEN '' THEN 'waiting' ELSE 'skipped' END, '',"
        " 0, 0, 0, 0, 0, 0, 0, reason"
        " FROM unnest(%b::text[], %b::text[]) WITH ORDINALITY AS planned (resource, reason, ordinal)"
        " ON CONFLICT (run_id, resource) DO NOTHING",
        [
            claimed.organisation_id,
            claimed.id,
            [key for key, _reason in resources],
            [reason for _key, reason in resources],
        ],
    )
    names = ", ".join(f"checkpoint.{row.name}" for row in fields(CheckpointState))
    rows = await connection.execute(
        f"SELECT part.resource, part.state, part.reason, checkpoint.id, {names} FROM sync_run_resource part"  # noqa: S608
        " LEFT JOIN sync_checkpoint checkpoint ON checkpoint.administration_id = %s AND checkpoint.resource = part.resource"
        " WHERE part.run_id = %s",
        [claimed.administration_id, claimed.id],
    )
    return {
        str(resource): (str(state), str(reason), CheckpointState(*values) if checkpoint_id else None)
        for resource, state, reason, checkpoint_id, *values in await rows.fetchall()
    }


CheckpointUpdate = tuple[str, CheckpointState, ResourceDelta]


async def save_checkpoints(connection: Connection, claimed: ClaimedRun, updates: Sequence[CheckpointUpdate]) -> None:
    """Save the checkpoints and counts of the pages of one transaction, in one statement."""
    rows: dict[str, dict[str, Any]] = {}
    for resource, checkpoint, delta in updates:
        added = {"resource": resource, **vars(checkpoint), **vars(delta)}
        if before := rows.get(resource):
            added |= {name: getattr(delta, name) + before[name] for name in _COUNTED}
        rows[resource] = added
    await connection.execute(
        _SAVE_CHECKPOINTS,
        {
            "rows": msgspec.json.encode(list(rows.values())).decode(), "organisation": claimed.organisation_id,
            "administration": claimed.administration_id, "run": claimed.id,
        },
    )  # fmt: skip


_CHECKPOINT_COLUMNS = {
    "resume_cursor": "text", "read_mode": "text", "read_id": "bigint", "read_started_at": "timestamptz",
    "incremental_cursor": "text", "complete_as_of": "timestamptz", "last_full_at": "timestamptz", "fiscal_years_back": "int",
    "is_verifying_deletes": "bool", "is_inconsistent": "bool", "seen_count": "bigint",
}  # fmt: skip
_COUNTED = ("pages", "rows", "lines", "added", "changed", "deleted", "rejected")
_UPDATE_COLUMNS = {
    "resource": "text",
    **_CHECKPOINT_COLUMNS,
    "state": "text",
    "mode": "text",
    "expected_total": "int",
    **dict.fromkeys(_COUNTED, "int"),
}
_SAVE_CHECKPOINTS = f"""
WITH kept AS (
  SELECT * FROM json_to_recordset(%(rows)s::json) AS ({", ".join(f'"{name}" {kind}' for name, kind in _UPDATE_COLUMNS.items())})
), counted AS (
  UPDATE sync_run_resource part
     SET {", ".join(f'"{name}" = part."{name}" + kept."{name}"' for name in _COUNTED)}, state = kept.state, mode = kept.mode,
         expected_total = coalesce(kept.expected_total, part.expected_total), started_at = coalesce(part.started_at, now()),
         finished_at = CASE WHEN kept.state = 'done' THEN now() END
    FROM kept WHERE part.run_id = %(run)s AND part.resource = kept.resource)
INSERT INTO sync_checkpoint
  (organisation_id, administration_id, resource, {", ".join(_CHECKPOINT_COLUMNS)}, available, unavailable_reason)
SELECT %(organisation)s, %(administration)s, resource, {", ".join(_CHECKPOINT_COLUMNS)}, true, '' FROM kept
    ON CONFLICT (administration_id, resource) DO UPDATE
   SET {", ".join(f"{name} = excluded.{name}" for name in _CHECKPOINT_COLUMNS)}, available = true, unavailable_reason = ''
"""  # noqa: S608 - names of ours alone


async def finish_resource(connection: Connection, claimed: ClaimedRun, resource: str, state: str, reason: str) -> None:
    """Store that a resource could not be read: skipped or failed, with the reason."""
    await connection.execute(
        "UPDATE sync_run_resource SET state = %s, reason = %s, started_at = coalesce(started_at, now()),"
        " finished_at = now() WHERE run_id = %s AND resource = %s",
        [state, reason, claimed.id, resource],
    )


async def reset_cursor(connection: Connection, claimed: ClaimedRun, resource: str) -> None:
    """Make a read that was refused or not understood start again next time, a full one as a full one: its cursor may be invalid
    at the source, and would be refused for ever."""
    await connection.execute(
        "UPDATE sync_checkpoint SET resume_cursor = '', is_verifying_deletes = false, seen_count = 0, fiscal_years_back ="
        " CASE WHEN resume_cursor <> '' AND read_mode = 'full' THEN -1 ELSE fiscal_years_back END"
        " WHERE administration_id = %s AND resource = %s",
        [claimed.administration_id, resource],
    )


async def mark_unavailable(connection: Connection, claimed: ClaimedRun, resource: str, reason: str) -> None:
    await connection.execute(
        "INSERT INTO sync_checkpoint (organisation_id, administration_id, resource, resume_cursor, read_mode, read_id,"
        " incremental_cursor, fiscal_years_back, is_verifying_deletes, is_inconsistent, seen_count, available,"
        " unavailable_reason)"
        " VALUES (%s, %s, %s, '', '', 0, '', 0, false, false, 0, false, %s)"
        " ON CONFLICT (administration_id, resource)"
        " DO UPDATE SET available = false, unavailable_reason = excluded.unavailable_reason",
        [claimed.organisation_id, claimed.administration_id, resource, reason],
    )
