"""The sign-in page, where somebody can sign in."""

from allauth.account import views
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render

from koppel.kit.web.decorators import public
from koppel.organisations.bootstrap import Standing, standing


@public
def login(request: HttpRequest) -> HttpResponseBase:
    """Where nobody has an account yet, what to do instead of a form that nobody can use."""
    here = Standing.READY if request.method == "POST" else standing()
    if here is not Standing.READY:
        return render(request, "web/not_set_up.html", {"is_empty": here is Standing.EMPTY})
    answer: HttpResponseBase = views.login(request)
    return answer
