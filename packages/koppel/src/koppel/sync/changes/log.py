"""The log of changes: each record that a run added, changed or deleted, with the vendor's payload before and
after.

Written in the page's own transaction, from what `koppel.books.storage.staging` holds, before the books take
it over. The first complete read of a resource is the baseline and is not logged: its rows are counted in the
run and carry `first_seen`.
"""

from collections.abc import Sequence
from functools import cache

from koppel.books.storage import staging
from koppel.kit.database.pool import Connection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import ChangeKind
from koppel.sync.runs.claims import ClaimedRun

RESOURCES_WITH_PERIOD = ("entries", "entry_lines", "balances")
"""Their partition is a period, so that a change in a closed one can be told."""


_SQL = load_statements("koppel.sync")


@cache
def insert_cte(resource: str) -> str:
    """Return a query of a WITH clause that logs the staged records of a resource as added or changed, before
    they are merged.

    A record that was deleted and is back counts as added. `cte_params` gives its parameters."""
    table = staging.table(resource)
    period, is_closed = (
        _period_of_changed_entry() if resource == "entries" else _period(resource, "incoming.partition")
    )
    statement = _SQL["log_staged_records"].format(
        staged=table.staging_table(), table=table.name, period=period, is_closed=is_closed
    )
    return f"logged AS ({statement})"


async def log_deleted(
    connection: Connection, claimed: ClaimedRun, resource: str, keys: Sequence[str]
) -> None:
    """Log records as deleted. Call it before the rows are marked."""
    await connection.execute(
        _log_deleted_sql(resource), {**cte_params(claimed, resource), "keys": list(keys)}
    )


def cte_params(claimed: ClaimedRun, resource: str) -> dict[str, object]:
    """Return the parameters of what logs changes of a resource."""
    return {
        "organisation": claimed.organisation_id,
        "administration": claimed.administration_id,
        "run": claimed.id,
        "resource": resource,
        "added": ChangeKind.ADDED,
        "changed": ChangeKind.CHANGED,
        "deleted": ChangeKind.DELETED,
    }


@cache
def _log_deleted_sql(resource: str) -> str:
    partition = _SQL["get_period_of_entry_line"] if resource == "entry_lines" else "row.partition"
    period, is_closed = _period(resource, partition)
    return _SQL["log_deleted_records"].format(
        table=staging.table(resource).name, period=period, is_closed=is_closed
    )


def _period(resource: str, partition: str) -> tuple[str, str]:
    """Return the SQL of two columns: the period, and whether it is closed at the source."""
    if resource not in RESOURCES_WITH_PERIOD:
        return "''", "false"
    return partition, _SQL["is_period_closed"].format(period=partition)


def _period_of_changed_entry() -> tuple[str, str]:
    """Do what `_period` does. An entry that left a closed period changed that one."""
    closed = {
        "was_closed": _SQL["is_period_closed"].format(period="row.partition"),
        "is_closed": _SQL["is_period_closed"].format(period="incoming.partition"),
    }
    return (
        _SQL["get_period_of_changed_entry"].format(**closed),
        _SQL["is_period_of_changed_entry_closed"].format(**closed),
    )
