"""The sign-in page."""

from allauth.account import views
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from koppel.kit.web.decorators import public
from koppel.organisations.bootstrap import InstallationState, installation_state


@public
def login(request: HttpRequest) -> HttpResponseBase:
    """Show the form, or the first steps while there is no account."""
    state = InstallationState.READY if request.method == "POST" else installation_state()
    if state is not InstallationState.READY:
        return render(request, "web/not_set_up.html", {"is_empty": state is InstallationState.EMPTY})
    response: HttpResponseBase = views.login(request)
    return response
