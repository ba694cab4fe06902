"""Pages of divisions: the list, and one with its people."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import takes
from koppel.kit.web.parameters import id_of
from koppel.organisations.errors import Refused
from koppel.organisations.groups import divisions
from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.views import confirmations

NAV_SECTION = "divisions"


@takes()
def list_divisions(request: AuthenticatedRequest) -> HttpResponse:
    """Groups of people and administrations; a new one leads to its own page, to be filled."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    if request.method == "POST":
        try:
            division = divisions.create(request.actor, request.POST.get("name", ""))
            return HttpResponseRedirect(reverse("organisations:division", args=[division.pk]))
        except Refused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.path)
    context = {"nav_section": NAV_SECTION, "rows": divisions.list_summaries(request.actor)}
    return render(request, "organisations/divisions.html", context)


def detail(request: AuthenticatedRequest, division_id: int) -> HttpResponse:
    """Its name, its people, its administrations; archive and merge."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    division = _or_404(request.actor, division_id)
    if request.method == "POST":
        return _change(request, division)
    summaries = divisions.list_summaries(request.actor)
    members = DivisionMember.objects.filter(organisation_id=division.organisation_id, division=division)
    people = Membership.objects.filter(organisation_id=division.organisation_id, is_active=True)
    context = {
        "nav_section": NAV_SECTION,
        "division": division,
        "line": next(summary for summary in summaries if summary.id == division.pk),
        "others": [summary for summary in summaries if not summary.is_archived and summary.id != division.pk],
        "people": people.select_related("user").order_by("user__name"),
        "named": set(members.values_list("membership_id", flat=True)),
    }
    return render(request, "organisations/division.html", context)


@require_POST
def merge(request: AuthenticatedRequest, division_id: int) -> HttpResponse:
    """Everything of it moves to another one."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    into = request.POST.get("into", "")
    key = id_of(into) or 0
    try:
        leaving, staying = divisions.check_merge(request.actor, division_id, key)
        line = next(line for line in divisions.list_summaries(request.actor) if line.id == leaving.pk)
        facts, cancel_url = (
            (leaving.pk, line.administrations, line.people),
            reverse("organisations:division", args=[leaving.pk]),
        )
        question = confirmations.merge("division", (leaving.name, staying.name), facts, key, cancel_url)
        if page := unconfirmed(request, question):
            return page
        moved_count = divisions.merge(request.actor, division_id, key)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("organisations:division", args=[division_id]))
    text = ngettext("%(count)d administration has moved.", "%(count)d administrations have moved.", moved_count)
    messages.success(request, text % {"count": moved_count})
    return HttpResponseRedirect(reverse("organisations:division", args=[int(into)]))


def _change(request: AuthenticatedRequest, division: Division) -> HttpResponse:
    form = request.POST
    membership_ids = [*filter(None, map(id_of, form.getlist("people")))]
    try:
        divisions.change_division(
            request.actor,
            division.pk,
            name=form.get("name", ""),
            archived=form.get("archived") == "1",
            membership_ids=membership_ids if form.get("has_people") else None,
        )
        messages.success(request, _("Saved."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(request.path)


def _or_404(actor: Actor, division_id: int) -> Division:
    try:
        return divisions.get_division(actor, division_id)
    except Refused:
        raise Http404 from None
