"""The type-ahead of sectors."""

from django.http import HttpResponse, JsonResponse
from django.utils.translation import get_language

from koppel.company_registers.sectors.sections import search
from koppel.kit.web.decorators import query_parameters
from koppel.kit.web.parameters import TEXT
from koppel.organisations.requests import AuthenticatedRequest

SHOWN_MAX = 24


@query_parameters(q=TEXT)
def search_sectors(request: AuthenticatedRequest) -> HttpResponse:
    """Return what a few letters may mean: `{"sectors": [{letter, text, because, example}]}`; without any, all
    22.
    """
    choices = search((request.parameters["q"] or "")[:100], get_language() or "en")[:SHOWN_MAX]
    rows = [
        {
            "letter": section.letter,
            "text": section.text,
            "matched_division": section.matched_division,
            "example": section.example,
        }
        for section in choices
    ]
    return JsonResponse({"sectors": rows})
