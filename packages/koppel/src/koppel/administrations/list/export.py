"""The list as a file: what is shown, all of it that matches, in the columns chosen."""

from collections.abc import Iterator
from typing import IO

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.list import cells
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import ListQuery
from koppel.administrations.list.queryset import search
from koppel.audit.services import record
from koppel.kit.tabular.writers import Cell, Column, Format, write_table
from koppel.organisations.roles import Actor

CHUNK_ROWS = 2000


def export_list(actor: Actor, query: ListQuery, file_format: Format) -> IO[bytes]:
    """A temporary file. Audited with the filter and the number of rows exported. Raises `UnknownParameter`."""
    require_known(actor, query)
    columns = [Column(key, str(COLUMNS[key].label), COLUMNS[key].kind) for key in query.columns]
    counted = _Counted(_rows(actor, query))
    written = write_table(file_format, columns, counted)
    record(
        actor.organisation_id,
        actor.audit,
        BulkAuditAction.EXPORTED,
        details={"filter": query.to_query_string(), "rows": counted.count, "format": file_format.value},
    )
    return written


class _Counted:
    def __init__(self, rows: Iterator[list[Cell]]) -> None:
        self.rows, self.count = rows, 0

    def __iter__(self) -> Iterator[list[Cell]]:
        for row in self.rows:
            self.count += 1
            yield row


def _rows(actor: Actor, query: ListQuery) -> Iterator[list[Cell]]:
    administrations = list(search(actor, query))
    for start in range(0, len(administrations), CHUNK_ROWS):
        chunk = administrations[start : start + CHUNK_ROWS]
        context = cells.load_row_context(actor, chunk, query.columns)
        for administration in chunk:
            yield [cells.cell_value(administration, key, context) for key in query.columns]
