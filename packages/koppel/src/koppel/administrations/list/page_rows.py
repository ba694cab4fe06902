"""The rows of one page of the list."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.html import format_html
from django.utils.safestring import SafeString

from koppel.administrations.list.cell_markup import page_context
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.list.row_context import RowContext
from koppel.administrations.models import Administration, Status
from koppel.connections.models import ConnectionState

FAILING_STATES = (Status.FAILED, Status.BLOCKED, ConnectionState.NEEDS_REAUTH)


@dataclass(frozen=True, kw_only=True)
class ListRow:
    administration: Administration
    id: str
    is_favourite: bool
    is_failing: bool
    cells: SafeString
    """All cells of the row as markup. A loop in a template would double the time of the page."""


def render_rows(
    administrations: Sequence[Administration], columns: Sequence[str], context: RowContext
) -> list[ListRow]:
    page = page_context(context)
    cells = [(_cell_tag(key), COLUMNS[key].html) for key in columns]
    return [
        ListRow(
            administration=administration,
            id=str(administration.pk),
            is_favourite=administration.pk in context.favourite_ids,
            is_failing=context.states[administration.pk] in FAILING_STATES,
            cells=SafeString("".join(f"{tag}{html(administration, page)}</td>" for tag, html in cells)),
        )
        for administration in administrations
    ]


def _cell_tag(key: str) -> SafeString:
    """Return the opening tag of a column's cells. `data-label` names the value where rows are cards."""
    column = COLUMNS[key]
    kind = SafeString(' class="number"') if column.is_figure else ""
    return format_html('<td data-column="{}" data-label="{}"{}>', key, column.label, kind)
