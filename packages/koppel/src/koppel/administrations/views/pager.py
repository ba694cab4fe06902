"""Links of a pager between the pages of a list."""

from collections.abc import Mapping

from django.http import HttpRequest

from koppel.kit.web.parameters import query_without


def page_links(request: HttpRequest, number: int, pages: int) -> Mapping[str, str]:
    """Return the addresses of the `first`, `previous`, `next` and `last` page; '' for a missing one. They
    keep the other parameters of the list.
    """

    def link(page: int) -> str:
        return f"?{query_without(request, 'page')}page={page}"

    return {
        "first": link(1) if number > 2 else "",
        "previous": link(number - 1) if number > 1 else "",
        "next": link(number + 1) if number < pages else "",
        "last": link(pages) if number < pages - 1 else "",
    }
