"""A worker's claims on runs, over async psycopg: claim, heartbeat, requeue. Every page is written in a `fenced_transaction`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row

from koppel.kit.backoff import with_jitter
from koppel.kit.database.outage import OUTAGE_BACKOFF
from koppel.kit.database.pool import Connection, Database, GuardFailed
from koppel.sync.errors import RunTakenOver

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


async def claim_runs(connection: Connection, run_ids: list[int], worker: str) -> list[ClaimedRun]:
    """Claim those of the runs that are queued, or whose worker sends no heartbeat; leave out the others."""
    async with connection.cursor(row_factory=class_row(ClaimedRun)) as cursor:
        await cursor.execute(_CLAIM, {"runs": run_ids, "worker": worker})
        return await cursor.fetchall()


@asynccontextmanager
async def fenced_transaction(database: Database, claimed: ClaimedRun) -> AsyncIterator[Connection]:
    """Open a transaction in the organisation's scope that locks the run. Raises `RunTakenOver` when it is no longer ours."""
    guard = (
        f"SELECT 1 FROM sync_run WHERE id = {claimed.id:d} AND attempt = {claimed.attempt:d} AND state = 'running'"  # noqa: S608
        " FOR NO KEY UPDATE"
    )
    try:
        async with database.tenant_transaction(claimed.organisation_id, guard=guard) as connection:
            yield connection
    except GuardFailed:
        raise RunTakenOver from None


async def heartbeat(connection: Connection, claimed: ClaimedRun) -> bool:
    """Store a heartbeat. Returns False when the run is no longer ours. A run that was claimed just as its connection
    was paused is requeued."""
    cursor = await connection.execute(
        "UPDATE sync_run run SET heartbeat_at = now(), state = CASE c.state WHEN 'paused' THEN 'queued' ELSE run.state END"
        "  FROM connections_connection c"
        " WHERE run.id = %s AND run.attempt = %s AND run.state = 'running' AND c.id = %s RETURNING run.state",
        [claimed.id, claimed.attempt, claimed.connection_id],
    )
    row = await cursor.fetchone()
    return row is not None and row[0] == "running"


async def requeue(
    connection: Connection, claimed: ClaimedRun, seconds: float, *, failed: bool, code: str, reason: str
) -> None:
    """Put the run back in the queue, to start after some seconds."""
    await connection.execute(
        "UPDATE sync_run SET state = 'queued', not_before = now() + make_interval(secs => %s), failures = failures + %s,"
        " reason_code = %s, reason = %s WHERE id = %s AND attempt = %s AND state = 'running'",
        [seconds, int(failed), code, reason, claimed.id, claimed.attempt],
    )


async def requeue_after_crash(connection: Connection, claimed: ClaimedRun, seconds: float, reason: str) -> None:
    await connection.execute(
        "UPDATE sync_run SET state = 'queued', not_before = now() + make_interval(secs => %s), crashes = crashes + 1,"
        " reason_code = 'crashed', reason = %s WHERE id = %s AND attempt = %s AND state = 'running'",
        [seconds, reason, claimed.id, claimed.attempt],
    )


async def requeue_for_outage(connection: Connection, claimed: ClaimedRun, reason: str) -> float:
    """Requeue the run while our own database answers with errors, for about as long as the outage lasts already.

    Returns the seconds of the outage so far, 0 at first. After a quarter of an hour without errors it is a new outage."""
    cursor = await connection.execute(
        _REQUEUE_FOR_OUTAGE,
        {
            "run": claimed.id, "attempt": claimed.attempt, "reason": reason, "new_after": OUTAGE_NEW_AFTER_SECONDS,
            "least": OUTAGE_BACKOFF.base_seconds, "most": OUTAGE_BACKOFF.cap_seconds, "spread": with_jitter(1.0),
        },
    )  # fmt: skip
    row = await cursor.fetchone()
    return float(row[0]) if row else 0.0


_REQUEUE_FOR_OUTAGE = """
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
    """Return how often in a row the run failed; a page that is committed makes it 0."""
    result = await connection.execute("SELECT failures FROM sync_run WHERE id = %s", [claimed.id])
    row = await result.fetchone()
    return int(row[0]) if row else 0


async def reset_failures(connection: Connection, claimed: ClaimedRun) -> None:
    """Set the count of failures to 0, as a page was committed."""
    await connection.execute("UPDATE sync_run SET failures = 0 WHERE id = %s", [claimed.id])
