"""The Sync tab of an administration."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations.doors import administration_or_404
from koppel.books.labels import RESOURCES
from koppel.books.queries import counts
from koppel.sync.errors import NotPossible
from koppel.sync.queries import newest_run, progress_of, recent_runs, resource_lines
from koppel.sync.services import request_run
from koppel.web.doors import MemberRequest


def overview(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Per resource: rows, complete as of, what the last run did. Asks for itself again while a run is open."""
    one = administration_or_404(request.actor, administration_id)
    run = newest_run(one)
    rows = counts(one.pk)
    lines = [(RESOURCES.get(line.key, line.key), rows.get(line.key, 0), line) for line in resource_lines(one, run)]
    context = {
        "administration": one,
        "tab": "sync",
        "run": run,
        "progress": progress_of(one.organisation_id, [one.pk]).get(one.pk),
        "lines": lines,
        "runs": recent_runs(one),
    }
    template = "sync/resources.html" if request.headers.get("HX-Request") else "sync/overview.html"
    return render(request, template, context)


@require_POST
def sync_now(request: MemberRequest, administration_id: int) -> HttpResponse:
    one = administration_or_404(request.actor, administration_id)
    try:
        started = request_run(request.actor, one.pk, full=request.POST.get("full") == "1")
        if started:
            messages.success(request, _("The sync of %(name)s has begun.") % {"name": one.name})
        else:
            messages.info(request, _("A sync of %(name)s is under way already.") % {"name": one.name})
    except NotPossible as refusal:
        messages.error(request, str(refusal))
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = f"/administrations/{one.pk}/sync/"
    return HttpResponseRedirect(back)
