"""The page of the API reference."""

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from koppel.api.reference import group_operations, list_operations
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import TEXT
from koppel.organisations.requests import AuthenticatedRequest


@query_parameters(q=TEXT)
def reference(request: AuthenticatedRequest) -> HttpResponse:
    """Show the operations; `q` filters them by text."""
    search_text = (request.parameters["q"] or "").replace("\0", "")[:100].strip()
    matches = [operation for operation in list_operations() if operation.matches(search_text)]
    base = f"{settings.PUBLIC_URL}{reverse('api:api-root')}".rstrip("/")
    context = {
        "account_place": "api",
        "operations": matches,
        "groups": group_operations(matches),
        "words": search_text,
        "base": base,
        "requests_per_minute": settings.API_REQUESTS_PER_MINUTE,
    }
    return render(request, "api/reference.html", context)
