"""The Sync tab of an administration."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations.doors import administration_or_404
from koppel.administrations.settings import in_force
from koppel.books.labels import RESOURCES
from koppel.books.queries import counts
from koppel.connections.repair import why_not
from koppel.kit.parameters import FLAG, PAGE, TEXT, one_of, one_of_these
from koppel.organisations.policy import Permission
from koppel.sync import history, imports
from koppel.sync.errors import NotPossible
from koppel.sync.models import ChangeKind
from koppel.sync.progress import progress_of_runs
from koppel.sync.queries import next_scheduled, recent_runs, resource_lines
from koppel.sync.services import cancel_run, request_run
from koppel.web.doors import MemberRequest, takes


@takes()
def overview(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Per resource: rows, complete as of, what the last run did. Asks for itself again while a run is open."""
    one = administration_or_404(request.actor, administration_id)
    runs = recent_runs(one)
    rows = counts(one.pk)
    lines = [(RESOURCES.get(line.key, line.key), rows.get(line.key, 0), line) for line in resource_lines(one, runs)]
    context = {
        "administration": one,
        "tab": "sync",
        "run": runs[0] if runs else None,
        "progress": progress_of_runs(one.organisation_id, [one.pk]).get(one.pk),
        "lines": lines,
        "runs": runs,
        "stands": why_not(one.connection, one.remote_company),
        "choices": [(key, RESOURCES[key]) for key in in_force(one).resources] if one.activated_at else [],
        "next_run": next_scheduled(one),
    }
    template = "sync/resources.html" if request.headers.get("HX-Request") else "sync/overview.html"
    return render(request, template, context)


@takes(resource=one_of_these(lambda: RESOURCES), kind=one_of(*ChangeKind.values), q=TEXT, closed=FLAG, page=PAGE)
def run_detail(request: MemberRequest, administration_id: int, run_id: int) -> HttpResponse:
    """What one run read and changed, each record before and after. Filtered by the address."""
    one = administration_or_404(request.actor, administration_id)
    run = history.run_of(one, run_id)
    if run is None:
        raise Http404
    asked = request.parameters
    wanted = history.Filter(
        asked["resource"] or "", asked["kind"] or "", (asked["q"] or "").strip(), asked["closed"] is not None
    )
    parts = sorted(run.parts.all(), key=lambda part: part.position)
    context = {
        "administration": one,
        "tab": "sync",
        "run": run,
        "parts": parts,
        "wanted": wanted,
        "listing": history.changes_of(one, run, wanted, asked["page"] or 1),
        "resources": RESOURCES.items(),
        "kinds": history.KINDS,
        "first": any(part.added for part in parts),
    }
    return render(request, "sync/run.html", context)


@require_POST
def sync_now(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Everything, or the resources that are named; `full` compares with all that the source has."""
    one = administration_or_404(request.actor, administration_id)
    asked = request.POST
    try:
        started = request_run(
            request.actor, one.pk, full=asked.get("full") == "1", resources=asked.getlist("resource") or None
        )
        if started:
            messages.success(request, _("The sync of %(name)s has begun.") % {"name": one.name})
        else:
            messages.info(request, _("A sync of %(name)s is under way already.") % {"name": one.name})
    except NotPossible as refusal:
        messages.error(request, str(refusal))
    return _back(request, one.pk)


@require_POST
def cancel(request: MemberRequest, administration_id: int) -> HttpResponse:
    one = administration_or_404(request.actor, administration_id)
    if cancel_run(request.actor, one.pk):
        messages.success(request, _("The sync of %(name)s was stopped. What was read is kept.") % {"name": one.name})
    else:
        messages.info(request, _("No sync of %(name)s is under way.") % {"name": one.name})
    return _back(request, one.pk)


@takes(status=one_of(*imports.GROUPS), page=PAGE)
def import_page(request: MemberRequest, import_id: int) -> HttpResponse:
    """A page of an import, all or those of one status. Asks for itself again until the import is over."""
    request.actor.require(Permission.SEE)
    status, number = request.parameters["status"] or "", request.parameters["page"] or 1
    found = imports.import_page(request.actor, import_id, status, number)
    if found is None:
        raise Http404
    template = "sync/import_lines.html" if request.headers.get("HX-Request") else "sync/import.html"
    return render(request, template, {"place": "administrations", "page": found, "state": found.state})


def _back(request: MemberRequest, administration_id: int) -> HttpResponse:
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = f"/administrations/{administration_id}/sync/"
    return HttpResponseRedirect(back)
