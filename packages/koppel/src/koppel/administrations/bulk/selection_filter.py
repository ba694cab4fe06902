"""The filter of a bulk operation. Selecting everything must be explicit; a filter that excludes nothing is
refused.
"""

from collections.abc import Iterator

from django.http import QueryDict
from django.utils.translation import gettext as _

from koppel.administrations.list.query import FILTERS, ListQuery, parse_query, query_of_text
from koppel.kit.database.text import clean_text
from koppel.kit.web.parameters import UnknownParameter, UnknownPart, shorten

DISPLAY_PARAMETERS = ("page", "sort", "columns", "done")
"""Parameters of a list that change its display, not which administrations match."""


def parse_bulk_filter(text: str) -> ListQuery:
    """Parse a filter: '' and `all=1` select everything, any other one what its values narrow down.

    Raises `UnknownParameter` by name for a part that narrows nothing down.
    """
    parameters = query_of_text(text)
    query = parse_query(parameters)
    if not text or (not query.unknown and list(parameters.lists()) == [("all", ["1"])]):
        return query
    parts = [*query.unknown, *_parts_without_effect(parameters)]
    if not parts and not query.is_filtered:
        parts = [
            UnknownPart(
                "filter", text, _("This filter is empty and matches everything. Remove it to include all.")
            )
        ]
    if parts:
        raise UnknownParameter(parts)
    return query


def _parts_without_effect(parameters: QueryDict) -> Iterator[UnknownPart]:
    for name, texts in parameters.lists():
        params = {"name": name, "names": ", ".join(FILTERS)}
        if name == "q" and not any(clean_text(str(text)) for text in texts):
            yield UnknownPart(name, "", _("“q” is empty."))
        elif name in DISPLAY_PARAMETERS:
            message = _(
                "“%(name)s” does not limit the selection and cannot be used for bulk edits. Possible "
                "filters: %(names)s."
            )
            yield UnknownPart(name, shorten(str(texts[-1])), message % params, FILTERS)
        elif name == "all":
            yield UnknownPart(name, shorten(str(texts[-1])), _("“all” cannot be combined with other values."))
