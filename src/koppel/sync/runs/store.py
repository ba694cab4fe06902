"""The engine's own rows: runs, parts and checkpoints, over async psycopg. Every page's transaction is one of
`fenced_transaction`."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import class_row

from koppel.connector.contract import RejectedRecord
from koppel.kit.database import Connection, Database, GuardFailed
from koppel.kit.database_outage import PAUSE_SECONDS, PAUSE_SECONDS_MAX
from koppel.sync.errors import Fenced

STALLED_SECONDS = 15
OUTAGE_NEW_AFTER_SECONDS = 900.0


@dataclass(frozen=True)
class ClaimedRun:
    """A run that this worker holds, with what it needs to know about its administration."""

    id: int
    attempt: int
    organisation_id: int
    administration_id: int
    connection_id: int
    remote_company_id: int
    connector: str
    full: bool
    resources: list[str] | None
    failures: int
    crashes: int
    trigger: str
    created_at: datetime


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
        """Nothing has been read completely yet: rows are new, and none can be absent."""
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


_CLAIM = f"""
UPDATE sync_run run
   SET state = 'running', attempt = run.attempt + 1, worker = %(worker)s, heartbeat_at = now(), not_before = NULL,
       started_at = coalesce(run.started_at, now()), reason = '', reason_code = ''
  FROM administrations_administration a
  JOIN connections_connection c ON c.id = a.connection_id AND c.organisation_id = a.organisation_id
 WHERE run.id = ANY(%(runs)s) AND a.id = run.administration_id AND a.organisation_id = run.organisation_id
   AND ((run.state = 'queued' AND (run.not_before IS NULL OR run.not_before <= now()))
     OR (run.state = 'running' AND run.heartbeat_at < now() - interval '{STALLED_SECONDS} seconds'))
RETURNING run.id, run.attempt, run.organisation_id, run.administration_id, a.connection_id, a.remote_company_id, c.connector,
          run.full, run.resources, run.failures, run.crashes, run.trigger, run.created_at
"""  # noqa: S608 - a number of our own


async def claim_run(connection: Connection, run_id: int, worker: str) -> ClaimedRun | None:
    """Take the run if it waits or if its worker has fallen silent. None: somebody else has it, or it is over."""
    return next(iter(await claim_runs(connection, [run_id], worker)), None)


async def claim_runs(connection: Connection, run_ids: list[int], worker: str) -> list[ClaimedRun]:
    """As `claim`, for many in one statement."""
    async with connection.cursor(row_factory=class_row(ClaimedRun)) as cursor:
        await cursor.execute(_CLAIM, {"runs": run_ids, "worker": worker})
        return await cursor.fetchall()


async def exists(connection: Connection, run_id: int) -> bool:
    """Whether the scope's organisation has this run, in whichever state."""
    row = await connection.execute("SELECT 1 FROM sync_run WHERE id = %s", [run_id])
    return await row.fetchone() is not None


@asynccontextmanager
async def fenced_transaction(database: Database, claimed: ClaimedRun) -> AsyncIterator[Connection]:
    """A transaction in the organisation's scope in which the run is locked. Raises `Fenced` when it is no longer ours."""
    ours = (
        f"SELECT 1 FROM sync_run WHERE id = {claimed.id:d} AND attempt = {claimed.attempt:d} AND state = 'running'"  # noqa: S608
        " FOR NO KEY UPDATE"
    )
    try:
        async with database.tenant_transaction(claimed.organisation_id, guard=ours) as connection:
            yield connection
    except GuardFailed:
        raise Fenced from None


async def heartbeat(connection: Connection, claimed: ClaimedRun) -> bool:
    """Say that we live. False when the run is no longer ours. One that was taken in the moment in which its connection was
    paused goes back to the queue."""
    done = await connection.execute(
        "UPDATE sync_run run SET heartbeat_at = now(), state = CASE c.state WHEN 'paused' THEN 'queued' ELSE run.state END"
        "  FROM connections_connection c"
        " WHERE run.id = %s AND run.attempt = %s AND run.state = 'running' AND c.id = %s RETURNING run.state",
        [claimed.id, claimed.attempt, claimed.connection_id],
    )
    row = await done.fetchone()
    return row is not None and row[0] == "running"


async def requeue(
    connection: Connection, claimed: ClaimedRun, seconds: float, *, failed: bool, code: str, reason: str
) -> None:
    """Let the run wait without a worker."""
    await connection.execute(
        "UPDATE sync_run SET state = 'queued', not_before = now() + make_interval(secs => %s), failures = failures + %s,"
        " reason_code = %s, reason = %s WHERE id = %s AND attempt = %s AND state = 'running'",
        [seconds, int(failed), code, reason, claimed.id, claimed.attempt],
    )


async def put_back_after_crash(connection: Connection, claimed: ClaimedRun, seconds: float, reason: str) -> None:
    await connection.execute(
        "UPDATE sync_run SET state = 'queued', not_before = now() + make_interval(secs => %s), crashes = crashes + 1,"
        " reason_code = 'crashed', reason = %s WHERE id = %s AND attempt = %s AND state = 'running'",
        [seconds, reason, claimed.id, claimed.attempt],
    )


async def put_back_for_outage(connection: Connection, claimed: ClaimedRun, reason: str) -> float:
    """Our own database answers with errors: wait for about as long as it has. For how many seconds it has, 0 at first.

    What went well for a quarter of an hour was another outage."""
    cursor = await connection.execute(
        _PUT_BACK_FOR_OUTAGE,
        {
            "run": claimed.id, "attempt": claimed.attempt, "reason": reason, "new_after": OUTAGE_NEW_AFTER_SECONDS,
            "least": PAUSE_SECONDS, "most": PAUSE_SECONDS_MAX, "spread": random.uniform(0.8, 1.2),  # noqa: S311 - jitter
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    return float(row[0]) if row else 0.0


_PUT_BACK_FOR_OUTAGE = """
WITH outage AS (
  SELECT CASE WHEN last_outage_at > now() - make_interval(secs => %(new_after)s) THEN outage_since ELSE now() END AS since
    FROM sync_run WHERE id = %(run)s)
UPDATE sync_run
   SET state = 'queued', outage_since = outage.since, last_outage_at = now(), reason_code = 'database', reason = %(reason)s,
       not_before = now() + %(spread)s * least(greatest(now() - outage.since, make_interval(secs => %(least)s)),
                                               make_interval(secs => %(most)s))
  FROM outage WHERE id = %(run)s AND attempt = %(attempt)s AND state = 'running'
RETURNING extract(epoch FROM now() - outage_since)::float8
"""


async def failures(connection: Connection, claimed: ClaimedRun) -> int:
    """How often in a row the run met a wall; a page in between makes it 0."""
    result = await connection.execute("SELECT failures FROM sync_run WHERE id = %s", [claimed.id])
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def reset_failures(connection: Connection, claimed: ClaimedRun) -> None:
    """A page came through: what failed before does not count."""
    await connection.execute("UPDATE sync_run SET failures = 0 WHERE id = %s", [claimed.id])


async def plan_resources(
    connection: Connection, claimed: ClaimedRun, resources: Sequence[tuple[str, str]]
) -> dict[str, tuple[str, str, CheckpointState | None]]:
    """Write the parts of the run (resource, why not or '') once. The state of each part with its reason, and how far its
    resource got; None when it was never read."""
    await connection.execute(
        "INSERT INTO sync_run_resource (organisation_id, run_id, resource, position, state, mode, pages, rows, lines,"
        " added, changed, deleted, rejected, reason)"
        " SELECT %s, %s, resource, place - 1, CASE reason WHEN '' THEN 'waiting' ELSE 'skipped' END, '',"
        " 0, 0, 0, 0, 0, 0, 0, reason"
        " FROM unnest(%b::text[], %b::text[]) WITH ORDINALITY AS planned (resource, reason, place)"
        " ON CONFLICT (run_id, resource) DO NOTHING",
        [claimed.organisation_id, claimed.id, [key for key, _why in resources], [why for _key, why in resources]],
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
    """Checkpoints and counts of one page, or of several answers in which nothing was new, in one statement."""
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
    """A resource that could not be read: skipped or failed, with the reason."""
    await connection.execute(
        "UPDATE sync_run_resource SET state = %s, reason = %s, started_at = coalesce(started_at, now()),"
        " finished_at = now() WHERE run_id = %s AND resource = %s",
        [state, reason, claimed.id, resource],
    )


async def reset_cursor(connection: Connection, claimed: ClaimedRun, resource: str) -> None:
    """A read under way that was refused or not understood begins anew next time, a complete one as such: the place at which
    it stopped may be gone at the source, and asking for it again would be refused for ever."""
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


async def record_seen_keys(
    connection: Connection, claimed: ClaimedRun, resource: str, read_id: int, keys: list[str]
) -> int:
    """Write down what a complete read of several pages met. How many keys were new."""
    done = await connection.execute(
        "INSERT INTO sync_snapshot_key (organisation_id, administration_id, resource, read_id, external_id)"
        " SELECT %s, %s, %s, %s, unnest(%b::text[]) ON CONFLICT DO NOTHING",
        [claimed.organisation_id, claimed.administration_id, resource, read_id, keys],
    )
    return done.rowcount


async def count_seen_keys(connection: Connection, claimed: ClaimedRun, resources: Sequence[str], read_id: int) -> int:
    """Fewer than were written down: the table is unlogged, and the database crashed in between."""
    result = await connection.execute(
        "SELECT count(*) FROM sync_snapshot_key WHERE administration_id = %s AND resource = ANY(%s) AND read_id = %s",
        [claimed.administration_id, list(resources), read_id],
    )
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def delete_seen_keys(connection: Connection, claimed: ClaimedRun, resources: Sequence[str]) -> None:
    await connection.execute(
        "DELETE FROM sync_snapshot_key WHERE administration_id = %s AND resource = ANY(%s)",
        [claimed.administration_id, list(resources)],
    )


async def store_rejected(
    connection: Connection, claimed: ClaimedRun, resource: str, rejected: Sequence[RejectedRecord]
) -> None:
    if not rejected:
        return
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO sync_rejected_record"
            " (organisation_id, administration_id, run_id, resource, external_id, reason, raw, at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, now()) ON CONFLICT (administration_id, resource, external_id)"
            " DO UPDATE SET run_id = excluded.run_id, reason = excluded.reason, raw = excluded.raw, at = now()",
            [
                (
                    claimed.organisation_id,
                    claimed.administration_id,
                    claimed.id,
                    resource,
                    record.external_id,
                    record.reason,
                    record.raw,
                )
                for record in rejected
            ],
        )


async def delete_old_rejected(
    connection: Connection, claimed: ClaimedRun, resources: Sequence[str], before: datetime | None
) -> None:
    """What a complete read did not meet again: it is gone at the source, or can be read now."""
    await connection.execute(
        "DELETE FROM sync_rejected_record"
        " WHERE administration_id = %s AND resource = ANY(%s) AND run_id <> %s AND at < %s",
        [claimed.administration_id, list(resources), claimed.id, before],
    )


def delete_rejected_cte(staged: str) -> str:
    """A query of a WITH clause: what is staged in this table was understood. Values: `administration`, `resource`."""
    return (
        "understood AS (DELETE FROM sync_rejected_record WHERE administration_id = %(administration)s"  # noqa: S608
        f" AND resource = %(resource)s AND external_id IN (SELECT external_id FROM {staged}))"
    )
