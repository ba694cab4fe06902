"""Pages of divisions: the list, and one division with its people."""

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.organisations.forms.groups import DivisionForm, MergeForm
from koppel.organisations.groups import divisions
from koppel.organisations.groups.named_group import summary_of
from koppel.organisations.models import Division, DivisionMember, Membership
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.views import confirmations

NAV_SECTION = "divisions"


@query_parameters()
def list_divisions(request: AuthenticatedRequest) -> HttpResponse:
    """Show the divisions. Creating one leads to its page, where people are added."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    form = DivisionForm.of(request)
    if request.method == "POST":
        with form.refusals():
            division = divisions.create_division(request.actor, form.input)
            return _redirect_to(division.pk)
    context = {"nav_section": NAV_SECTION, "rows": divisions.list_summaries(request.actor), "form": form}
    return render(request, "organisations/divisions.html", context)


def show_division(request: AuthenticatedRequest, division_id: int) -> HttpResponse:
    """Show a division's name, people and administrations; change, archive and merge it."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    division = divisions.get_division(request.actor, division_id)
    form = DivisionForm.of(request)
    if request.method == "POST":
        with form.refusals():
            divisions.change_division(request.actor, division_id, form.input)
            messages.success(request, _("Saved."))
            return _redirect_to(division_id)
    return render(request, "organisations/division.html", _division_context(request.actor, division, form))


@action_of("organisations:division", "division_id")
def merge_division(request: AuthenticatedRequest, division_id: int) -> HttpResponse:
    """Move people and administrations of a division to another one."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    into = MergeForm.of(request).input_or_refusal().into
    leaving, staying = divisions.require_mergeable(request.actor, division_id, into)
    summary = divisions.get_summary(request.actor, leaving.pk)
    facts = (leaving.pk, summary.administrations, summary.people)
    cancel_url = reverse("organisations:division", args=[leaving.pk])
    question = confirmations.confirm_merge("division", (leaving.name, staying.name), facts, into, cancel_url)
    if page := unconfirmed(request, question):
        return page
    moved_count = divisions.merge(request.actor, division_id, into)
    text = ngettext("%(count)d administration moved.", "%(count)d administrations moved.", moved_count)
    messages.success(request, text % {"count": moved_count})
    return _redirect_to(into)


def _division_context(actor: Actor, division: Division, form: DivisionForm) -> dict[str, object]:
    """Return the context of the page: the refused form, else the stored division."""
    summaries = divisions.list_summaries(actor)
    members = DivisionMember.objects.for_actor(actor).filter(division=division)
    people = Membership.objects.for_actor(actor).filter(is_active=True)
    return {
        "nav_section": NAV_SECTION,
        "division": division,
        "form": form,
        "line": summary_of(summaries, division.pk),
        "others": [summary for summary in summaries if not summary.is_archived and summary.id != division.pk],
        "people": people.select_related("user").order_by("user__name"),
        "named": form.shown_people(members.values_list("membership_id", flat=True)),
        "archived": form["archived"].value() if form.is_bound else division.archived_at,
    }


def _redirect_to(division_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:division", args=[division_id]))
