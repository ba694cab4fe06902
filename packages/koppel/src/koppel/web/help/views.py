"""Pages of the help."""

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy

from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import TEXT
from koppel.organisations.requests import AuthenticatedRequest
from koppel.web.help.documents import Readership, current_documents, find_image, search_titles

_GROUPS = {
    Readership.USERS: gettext_lazy("Working with Koppel"),
    Readership.OPERATORS: gettext_lazy("Running an installation"),
    Readership.DEVELOPERS: gettext_lazy("For developers"),
}


@query_parameters(q=TEXT)
def help_index(request: AuthenticatedRequest) -> HttpResponse:
    """List the pages by whom they are for, or those with the words of `q` in their titles."""
    words = (request.parameters["q"] or "")[:100].strip()
    context = {
        "groups": [
            (title, [page for page in current_documents().values() if page.readership == readership])
            for readership, title in _GROUPS.items()
        ],
        "results": search_titles(words),
        "words": words,
        "nav_section": "help",
    }
    return render(request, "web/help/index.html", context)


def help_page(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """Show one page; 404 for an unknown name."""
    documents = current_documents()
    if name not in documents:
        raise Http404
    context = {"document": documents[name], "documents": documents.values(), "nav_section": "help"}
    return render(request, "web/help/page.html", context)


def help_image(request: HttpRequest, name: str) -> FileResponse:
    """Send an image of a page; 404 for an unknown name."""
    file = find_image(name)
    if file is None:
        raise Http404
    return FileResponse(file.open("rb"), content_type="image/png")
