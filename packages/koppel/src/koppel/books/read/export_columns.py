"""The columns of exports and of rows over REST, derived from the row types: all that a row has.

The names are those of the SQL views and of records over REST. The times of views and records are left out:
they say when Koppel wrote a row, and rows deleted at the source are not exported.
"""

from collections.abc import Mapping

from koppel.books.models import ACTUAL, POSTED, BookRow, Entry, EntryLine
from koppel.connector.rows import ROWS

TRIAL_BALANCE_FILTER: Mapping[str, str] = {"status": POSTED, "balance_type": ACTUAL}
"""Entry lines with these values add up to the movements of the trial balance (`reports.sql`)."""
OMITTED_OF_ENTRY: Mapping[str, str] = {
    "description": "a line has its own",
    "currency": "a line has its own",
    "debit_total": "repeated on each line, it would be added up several times",
    "credit_total": "repeated on each line, it would be added up several times",
}
"""Fields of an entry that are not exported with its lines, with the reason."""
ENTRY_LINE_COLUMNS: tuple[tuple[type[BookRow], str], ...] = (
    (EntryLine, "external_id"),
    *((Entry, name) for name in ROWS["entries"].__struct_fields__ if name not in OMITTED_OF_ENTRY),
    *((EntryLine, name) for name in ROWS["entry_lines"].__struct_fields__),
)
"""The columns of an entry line with those of its entry, which say when and whether it counts."""
EXPORT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    **{resource: ("external_id", *row.__struct_fields__) for resource, row in ROWS.items()},
    "entry_lines": tuple(name for _model, name in ENTRY_LINE_COLUMNS),
}
"""The columns of each exported resource, in order: the key, then the fields of the row type."""
