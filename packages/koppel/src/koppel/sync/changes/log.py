"""The log of changes: each record that a run added, changed or deleted, with the vendor's payload before and after.

Written in the page's own transaction, from what `koppel.books.storage.staging` holds, before the books take it over. The first
complete read of a resource is the baseline and is not logged: its rows are counted in the run and carry `first_seen`.
"""

from collections.abc import Sequence
from functools import cache

from koppel.books.storage import staging
from koppel.kit.database.pool import Connection
from koppel.sync.runs.claims import ClaimedRun

RESOURCES_WITH_PERIOD = ("entries", "entry_lines", "balances")
"""Their partition is a period, so that a change in a closed one can be told."""


@cache
def insert_cte(resource: str) -> str:
    """Return a query of a WITH clause that logs the staged records of a resource as added or changed, before they are merged.

    A record that was deleted and is back counts as added. `cte_params` gives its parameters."""
    table = staging.table(resource)
    return (
        f"logged AS ({_HEAD} incoming.external_id, CASE WHEN row.external_id IS NULL OR row.deleted_at IS NOT NULL"
        f" THEN 'added' ELSE 'changed' END, now(), row.raw, incoming.raw, {_change_cte(resource)}"
        f" FROM {table.staging_table()} incoming LEFT JOIN {table.name} row"
        " ON row.administration_id = %(administration)s AND row.external_id = incoming.external_id)"
    )


async def log_deleted(connection: Connection, claimed: ClaimedRun, resource: str, keys: Sequence[str]) -> None:
    """Log records as deleted. Call it before the rows are marked."""
    await connection.execute(_deleted_sql(resource), {**cte_params(claimed, resource), "keys": list(keys)})


def cte_params(claimed: ClaimedRun, resource: str) -> dict[str, object]:
    return {
        "organisation": claimed.organisation_id, "administration": claimed.administration_id, "run": claimed.id,
        "resource": resource,
    }  # fmt: skip


_HEAD = (
    "INSERT INTO sync_change (organisation_id, administration_id, run_id, resource, external_id, kind, at, before, after,"
    " period, in_closed_period) SELECT %(organisation)s, %(administration)s, %(run)s, %(resource)s,"
)


@cache
def _deleted_sql(resource: str) -> str:
    return (
        f"{_HEAD} row.external_id, 'deleted', now(), row.raw, NULL, {_period(resource, _LAST.get(resource, 'row.partition'))}"
        f" FROM {staging.table(resource).name} row"
        " WHERE row.administration_id = %(administration)s AND row.external_id = ANY(%(keys)b)"
    )


_LAST = {
    "entry_lines": (
        f"coalesce((SELECT entry.partition FROM {staging.table('entries').name} entry"  # noqa: S608 - our own table name
        " WHERE entry.administration_id = %(administration)s AND entry.external_id = row.entry), row.partition)"
    )
}
"""A line that stayed as it was when its entry moved to another period does not know of it; the entry does."""


def _change_cte(resource: str) -> str:
    """As `_period`. An entry that left a closed period changed that one."""
    if resource != "entries":
        return _period(resource, "incoming.partition")
    was, became = _is_closed("row.partition"), _is_closed("incoming.partition")
    return (
        f"CASE WHEN row.deleted_at IS NULL AND {was} AND NOT {became} THEN row.partition ELSE incoming.partition END,"
        f" {became} OR (row.deleted_at IS NULL AND {was})"
    )


def _period(resource: str, period: str) -> str:
    """Return the SQL of two columns: the period, and whether it is closed at the source."""
    return f"{period}, {_is_closed(period)}" if resource in RESOURCES_WITH_PERIOD else "'', false"


def _is_closed(period: str) -> str:
    return (
        f"EXISTS (SELECT FROM {staging.table('periods').name} period"
        f" WHERE period.administration_id = %(administration)s AND period.period = {period} AND period.closed)"
    )
