"""Export of the list of administrations: all that match the filter, in the columns of the list."""

from collections.abc import Iterator, Sequence
from typing import IO

from django.utils.translation import gettext as _

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.list.columns import COLUMNS, ListColumn
from koppel.administrations.list.filter_checks import require_known
from koppel.administrations.list.query import ListQuery
from koppel.administrations.list.queryset import search
from koppel.administrations.list.row_context import load_row_context
from koppel.audit.services import add_audit_entry
from koppel.kit.tabular import writers
from koppel.kit.tabular.export_limit import export_slot
from koppel.kit.tabular.writers import Cell, Format, write_table
from koppel.organisations.roles import Actor

CHUNK_ROWS = 2000


def export_list(actor: Actor, query: ListQuery, file_format: Format) -> IO[bytes]:
    """Write the list to a temporary file, and its filter and number of rows to the audit log. Raises
    `UnknownParameter`.
    """
    require_known(actor, query)
    columns = [COLUMNS[key] for key in query.columns]
    rows = CountingRows(_rows(actor, query, columns))
    file_columns = [
        writers.FileColumn(key=column.key, title=str(column.label), type=column.type, display=column.display)
        for column in columns
    ]
    with export_slot(actor.organisation_id):
        written = write_table(file_format, file_columns, rows, title=_("Administrations"))
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        BulkAuditAction.EXPORTED,
        details={"filter": query.to_query_string(), "rows": rows.count, "format": file_format.value},
    )
    return written


class CountingRows:
    """Rows, with the number of those that were read."""

    def __init__(self, rows: Iterator[list[Cell]]) -> None:
        self.rows, self.count = rows, 0

    def __iter__(self) -> Iterator[list[Cell]]:
        for row in self.rows:
            self.count += 1
            yield row


def _rows(actor: Actor, query: ListQuery, columns: Sequence[ListColumn]) -> Iterator[list[Cell]]:
    administrations = list(search(actor, query))
    for start in range(0, len(administrations), CHUNK_ROWS):
        chunk = administrations[start : start + CHUNK_ROWS]
        context = load_row_context(actor, chunk, query.columns)
        for administration in chunk:
            yield [column.value(administration, context) for column in columns]
