"""A person's own notices."""

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_POST

from koppel.notifications.queries import notices_of
from koppel.notifications.services import mark_read
from koppel.web.doors import MemberRequest


def listing(request: MemberRequest) -> HttpResponse:
    """The newest first."""
    return render(request, "notifications/list.html", {"notices": notices_of(request.actor), "place": "notices"})


@require_POST
def read(request: MemberRequest) -> HttpResponse:
    """Mark all as read."""
    mark_read(request.actor)
    return HttpResponseRedirect("/notices/")
