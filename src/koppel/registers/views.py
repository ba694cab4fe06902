"""The type-ahead of sectors."""

from django.http import HttpResponse, JsonResponse
from django.utils.translation import get_language

from koppel.kit.parameters import TEXT
from koppel.registers.sectors import search
from koppel.web.doors import MemberRequest, takes

SHOWN_MAX = 24


@takes(q=TEXT)
def sectors(request: MemberRequest) -> HttpResponse:
    """What a few letters may mean: `{"sectors": [{letter, text, because, example}]}`; without any, all 22."""
    found = search((request.parameters["q"] or "")[:100], get_language() or "en")[:SHOWN_MAX]
    rows = [{"letter": one.letter, "text": one.text, "because": one.because, "example": one.example} for one in found]
    return JsonResponse({"sectors": rows})
