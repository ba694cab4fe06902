"""The Sync tab of an administration."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.effective_settings import effective_settings
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.books.read.labels import RESOURCES
from koppel.books.read.queries import counts
from koppel.connections.queries import reconnect_hint
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.forms import moment_of, return_url
from koppel.kit.web.parameters import FLAG, PAGE, TEXT, Parameter, lazy_choices, one_of
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.sync.changes import queries as history
from koppel.sync.forms import SyncForm
from koppel.sync.models import ChangeKind
from koppel.sync.progress import import_progress
from koppel.sync.progress.queries import next_scheduled, recent_runs, resource_lines, run_totals
from koppel.sync.progress.run_progress import progress_of_runs
from koppel.sync.runs.services import cancel_run, request_run

CHANGE_DAYS = 30


@query_parameters()
def overview(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the status of each resource; polls while a run is open."""
    administration = get_administration_or_404(request.actor, administration_id)
    runs = recent_runs(administration)
    rows = counts(administration.pk)
    lines = [
        (RESOURCES.get(line.key, line.key), rows.get(line.key, 0), line)
        for line in resource_lines(administration, runs)
    ]
    context = {
        "administration": administration,
        "tab": "sync",
        "progress": progress_of_runs(administration.organisation_id, [administration.pk]).get(
            administration.pk
        ),
        "lines": lines,
        "runs": [run_totals(run) for run in runs],
        "reconnect_hint": reconnect_hint(administration.connection, administration.remote_company),
        "choices": [(key, RESOURCES[key]) for key in effective_settings(administration).resources]
        if administration.activated_at
        else [],
        "next_run": next_scheduled(administration),
    }
    template = "sync/resources.html" if request.htmx else "sync/overview.html"
    return render(request, template, context)


_CHANGE_FILTERS = {
    "resource": lazy_choices(lambda: RESOURCES),
    "kind": one_of(*ChangeKind.values),
    "q": TEXT,
    "closed": FLAG,
    "page": PAGE,
}


@query_parameters(**_CHANGE_FILTERS)
def run_detail(request: AuthenticatedRequest, administration_id: int, run_id: int) -> HttpResponse:
    """Show what one run read and changed, filtered by the query string."""
    administration = get_administration_or_404(request.actor, administration_id)
    run = history.run_of(administration, run_id)
    if run is None:
        raise Http404
    change_filter = _change_filter(request.parameters)
    run_resources = sorted(run.run_resources.all(), key=lambda run_resource: run_resource.position)
    listing = history.changes_of(administration, run, change_filter, request.parameters["page"] or 1)
    context = _changes_context(administration, change_filter, listing) | {
        "run": run,
        "by_person": run_totals(run).by_person,
        "run_resources": run_resources,
        "first": any(run_resource.added for run_resource in run_resources),
    }
    return render(request, "sync/run.html", context)


@query_parameters(**_CHANGE_FILTERS, since=Parameter(parse=moment_of))
def list_changes(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the records that changed since a moment, by default in the last thirty days."""
    administration = get_administration_or_404(request.actor, administration_id)
    since = request.parameters["since"] or timezone.now() - timedelta(days=CHANGE_DAYS)
    change_filter = replace(_change_filter(request.parameters), since=since)
    listing = history.changes_of_all_runs(administration, change_filter, request.parameters["page"] or 1)
    return render(request, "sync/all_changes.html", _changes_context(administration, change_filter, listing))


def _change_filter(parameters: Mapping[str, Any]) -> history.ChangeFilter:
    return history.ChangeFilter(
        resource=parameters["resource"] or "",
        kind=parameters["kind"] or "",
        search=(parameters["q"] or "").strip(),
        closed=parameters["closed"] is not None,
    )


def _changes_context(
    administration: Administration, change_filter: history.ChangeFilter, listing: history.ChangePage
) -> dict[str, Any]:
    return {
        "administration": administration,
        "tab": "sync",
        "filters": change_filter,
        "listing": listing,
        "resources": RESOURCES.items(),
        "kinds": history.KINDS,
    }


@action_of("sync:overview", "administration_id")
def sync_now(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Start a sync of everything, or of the selected resources.

    A full read also finds deleted records.
    """
    administration = get_administration_or_404(request.actor, administration_id)
    if request_run(request.actor, administration.pk, SyncForm.of(request).input_or_refusal()):
        messages.success(request, _("Sync of %(name)s started.") % {"name": administration.name})
    else:
        messages.info(
            request, _("A sync of %(name)s is already in progress.") % {"name": administration.name}
        )
    return _redirect_back(request, administration.pk)


@action_of("sync:overview", "administration_id")
def cancel_sync(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Cancel the open run."""
    administration = get_administration_or_404(request.actor, administration_id)
    if cancel_run(request.actor, administration.pk):
        messages.success(
            request,
            _("Sync of %(name)s stopped. Synced data is kept.") % {"name": administration.name},
        )
    else:
        messages.info(request, _("No sync of %(name)s is in progress.") % {"name": administration.name})
    return _redirect_back(request, administration.pk)


@query_parameters(status=one_of(*import_progress.STATUS_GROUPS), page=PAGE)
def import_page(request: AuthenticatedRequest, import_id: int) -> HttpResponse:
    """Show a page of an import, optionally of one status; polls until the import is over."""
    request.actor.require(Permission.VIEW)
    status, number = request.parameters["status"] or "", request.parameters["page"] or 1
    import_lines = import_progress.import_page(request.actor, import_id, status, number)
    if import_lines is None:
        raise Http404
    template = "sync/import_lines.html" if request.htmx else "sync/import.html"
    return render(
        request,
        template,
        {"nav_section": "administrations", "page": import_lines, "state": import_lines.state},
    )


def _redirect_back(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    return HttpResponseRedirect(return_url(request, reverse("sync:overview", args=[administration_id])))
