"""The change log: every record that a run added, changed or deleted, with its payload before and after.

Entries are written in the page's transaction, from the rows that `koppel.books.storage.staging` holds, before
those are merged into the books. The first full read of a resource is the baseline and is not logged: the
run counts its rows, and they carry `first_seen`.
"""

from collections.abc import Sequence
from functools import cache

from koppel.books.storage import staging
from koppel.kit.database.pool import DatabaseConnection
from koppel.kit.database.sql_files import load_statements
from koppel.sync.models import ChangeKind
from koppel.sync.runs.claims import ClaimedRun

RESOURCES_WITH_PERIOD = ("entries", "entry_lines", "balances")
"""Resources that belong to a period: their changes record whether the period was closed."""


_SQL = load_statements("koppel.sync")


@cache
def insert_cte(resource: str) -> str:
    """Return a common table expression that logs staged records as added or changed, before the merge.

    A deleted record that reappears counts as added; one that was only normalised again is not logged.
    `cte_params` returns the parameters.
    """
    table = staging.table(resource)
    period, is_closed, left_period = (
        _period_of_changed_entry()
        if resource == "entries"
        else (*_period(resource, "incoming.partition"), "''")
    )
    statement = _SQL["log_staged_records"].format(
        staged=table.staging_table(),
        table=table.name,
        period=period,
        is_closed=is_closed,
        left_period=left_period,
        version=_version("incoming"),
    )
    return f"logged AS ({statement})"


async def log_deleted(
    database_connection: DatabaseConnection, run: ClaimedRun, resource: str, keys: Sequence[str]
) -> None:
    """Log records as deleted. Call this before the rows are marked."""
    await database_connection.execute(
        _log_deleted_sql(resource), {**cte_params(run, resource), "keys": list(keys)}
    )


def cte_params(run: ClaimedRun, resource: str) -> dict[str, object]:
    """Return the parameters of the statements that log changes of a resource."""
    return {
        "organisation": run.organisation_id,
        "administration": run.administration_id,
        "run": run.id,
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
        table=staging.table(resource).name, period=period, is_closed=is_closed, version=_version("row")
    )


def _version(row: str) -> str:
    """Return the SQL of the version that normalised a row."""
    return _SQL["get_normalisation_version"].format(content_hash=f"{row}.content_hash")


def _period(resource: str, partition: str) -> tuple[str, str]:
    """Return the SQL of two columns: the period, and whether the source has closed it."""
    if resource not in RESOURCES_WITH_PERIOD:
        return "''", "false"
    return partition, _SQL["is_period_closed"].format(period=partition)


def _period_of_changed_entry() -> tuple[str, str, str]:
    """Return the columns of `_period`, and the closed period that was left for a closed one.

    An entry that left a closed period for an open one counts as a change of the closed one.
    """
    closed = {
        "was_closed": _SQL["is_period_closed"].format(period="row.partition"),
        "is_closed": _SQL["is_period_closed"].format(period="incoming.partition"),
    }
    return (
        _SQL["get_period_of_changed_entry"].format(**closed),
        _SQL["is_period_of_changed_entry_closed"].format(**closed),
        _SQL["get_left_period_of_changed_entry"].format(**closed),
    )
