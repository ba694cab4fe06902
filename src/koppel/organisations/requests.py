"""The request of a signed-in member, and the organisation in which its session acts."""

from django.http import HttpRequest
from django.middleware.csrf import rotate_token

from koppel.organisations.roles import Actor


class AuthenticatedRequest(HttpRequest):
    """The request of a signed-in member, as every view that is not public gets it."""

    actor: Actor


def switch_organisation(request: HttpRequest, organisation_id: int) -> bool:
    """The session acts in this organisation from now on. True when it acted in another one before: pages that were opened there
    carry a mark that holds no longer, so that none of their forms is sent into this one."""
    before = request.session.get("organisation")
    if before == organisation_id:
        return False
    request.session["organisation"] = organisation_id
    if before is None:
        return False
    rotate_token(request)
    return True
