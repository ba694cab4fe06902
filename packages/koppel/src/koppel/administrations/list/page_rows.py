"""The rows of one page of the list."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString

from koppel.administrations.list.cell_markup import page_context
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.list.row_context import RowContext
from koppel.administrations.models import Administration, Status

FAILING_STATUSES = (Status.FAILED, Status.BLOCKED)


@dataclass(frozen=True)
class ListRow:
    administration: Administration
    id: str
    is_favourite: bool
    is_failing: bool
    cells: SafeString
    """All of them as markup: a template's loop over a page of them
    would take twice as long as everything else."""


def render_rows(
    administrations: Sequence[Administration], columns: Sequence[str], context: RowContext
) -> list[ListRow]:
    page = page_context(context)
    cells = [
        ('<td class="number">' if COLUMNS[key].is_figure else "<td>", COLUMNS[key].html) for key in columns
    ]
    return [
        ListRow(
            administration,
            str(administration.pk),
            administration.pk in context.favourite_ids,
            administration.status in FAILING_STATUSES,
            SafeString("".join(f"{tag}{html(administration, page)}</td>" for tag, html in cells)),
        )
        for administration in administrations
    ]
