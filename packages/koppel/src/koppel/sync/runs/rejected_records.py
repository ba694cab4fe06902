"""Records that could not be understood, kept with their bytes until they can be."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from koppel.connector.contract import RejectedRecord
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.runs.claims import ClaimedRun

KEY_MAX = 400
_SQL = load_statements("koppel.sync")


async def store(
    database_connection: DatabaseConnection,
    run: ClaimedRun,
    resource: str,
    rejected: Sequence[RejectedRecord],
) -> None:
    if not rejected:
        return
    async with database_connection.cursor() as cursor:
        await cursor.executemany(
            _SQL["upsert_rejected_record"],
            [
                {
                    "organisation": run.organisation_id,
                    "administration": run.administration_id,
                    "run": run.id,
                    "resource": resource,
                    "key": _key(record.external_id),
                    "reason": record.reason,
                    "raw": record.raw,
                }
                for record in rejected
            ],
        )


def _key(external_id: str) -> str:
    """Return the id as an index can hold it: one that is too long by its beginning and its digest."""
    if len(external_id) <= KEY_MAX:
        return external_id
    return f"{external_id[:100]}… {hashlib.sha256(external_id.encode()).hexdigest()}"


async def delete_older(
    database_connection: DatabaseConnection,
    run: ClaimedRun,
    resources: Sequence[str],
    before: datetime | None,
) -> None:
    """Delete the rejected records that a full read did not reject again.

    They were deleted at the source or can be read now.
    """
    await database_connection.execute(
        _SQL["delete_older_rejected_records"],
        {
            "administration": run.administration_id,
            "resources": list(resources),
            "run": run.id,
            "before": before,
        },
    )


def delete_cte(staged: str) -> str:
    """Return a common table expression that deletes the rejected records that are now staged.

    Parameters: `administration`, `resource`.
    """
    return f"understood AS ({_SQL['delete_staged_rejected_records'].format(staged=staged)})"
