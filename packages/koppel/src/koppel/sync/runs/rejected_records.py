"""Records that could not be understood, kept with their bytes until they can be."""

from collections.abc import Sequence
from datetime import datetime

from koppel.connector.contract import RejectedRecord
from koppel.kit.database.pool import Connection
from koppel.sync.runs.claims import ClaimedRun


async def store(connection: Connection, claimed: ClaimedRun, resource: str, rejected: Sequence[RejectedRecord]) -> None:
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


async def delete_older(
    connection: Connection, claimed: ClaimedRun, resources: Sequence[str], before: datetime | None
) -> None:
    """Delete the rejected records that a complete read did not reject again: they are gone at the source, or readable now."""
    await connection.execute(
        "DELETE FROM sync_rejected_record"
        " WHERE administration_id = %s AND resource = ANY(%s) AND run_id <> %s AND at < %s",
        [claimed.administration_id, list(resources), claimed.id, before],
    )


def delete_cte(staged: str) -> str:
    """Return a query of a WITH clause that deletes the records that are staged now, as they were normalised. Parameters:
    `administration`, `resource`."""
    return (
        "understood AS (DELETE FROM sync_rejected_record WHERE administration_id = %(administration)s"  # noqa: S608
        f" AND resource = %(resource)s AND external_id IN (SELECT external_id FROM {staged}))"
    )
