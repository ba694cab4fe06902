"""Tabs of an administration: overview, settings, history, assignments, favourites."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _

from koppel.administrations import queries, restriction, services
from koppel.administrations.audit_log.rendering import AuditRenderer
from koppel.administrations.effective_settings import RESOURCES, effective_settings
from koppel.administrations.forms import AUDIENCE_PREFIX, AdministrationForm, FavouriteForm, SettingsPageForm
from koppel.administrations.hooks import ordered_cards, progress_of
from koppel.administrations.inputs import AdministrationInput, RestrictionInput
from koppel.administrations.lifecycle import predecessors
from koppel.administrations.list.cell_values import display_number
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.administrations.views.company import company_context
from koppel.audit.subjects import SubjectKind
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.issues.queries import IssueView, open_issues
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.kit.web.forms import return_url
from koppel.organisations.errors import Refused
from koppel.organisations.hooks import audience_events
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import (
    AUDIENCE_LABELS,
    SCHEDULE_NAMES,
    WEEKDAYS,
)


def show_administration(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the Overview: issues first, then the cards that other apps add, people and division."""
    administration = get_administration_or_404(request.actor, administration_id)
    people = administration.assignments.filter(organisation_id=administration.organisation_id).select_related(
        "membership__user"
    )
    context = page_context(request, administration, "overview") | {
        "issues": _issues(request.actor, administration),
        "cards": ordered_cards(),
        "chosen": [
            assignment.membership
            for assignment in people.order_by("membership__user__name")
            if not assignment.automatic
        ],
        "by_default": [
            assignment.membership
            for assignment in people.order_by("membership__user__name")
            if assignment.automatic
        ],
        "progress": progress_of(administration.organisation_id, [administration.pk]).get(administration.pk),
        "duplicates": predecessors.list_duplicates(request.actor, administration),
        **company_context(request.actor, administration),
    }
    return render(request, "administrations/overview.html", context)


@query_parameters()
def peek_administration(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show status, facts, open issues and actions as a fragment, for the panel beside the list."""
    administration = get_administration_or_404(request.actor, administration_id)
    people = administration.assignments.filter(
        organisation_id=administration.organisation_id, automatic=False
    )
    progress = progress_of(administration.organisation_id, [administration.pk])
    context = page_context(request, administration, "overview") | {
        "issues": _issues(request.actor, administration),
        "people": [
            assignment.membership
            for assignment in people.select_related("membership__user").order_by("membership__user__name")
        ],
        "progress": progress.get(administration.pk),
        "sector_name": SECTIONS.get(administration.sector, administration.sector),
    }
    return render(request, "administrations/peek.html", context)


def edit_administration(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Change division, template, people, client number and access of one administration."""
    actor = request.actor
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = get_administration_or_404(actor, administration_id)
    form = AdministrationForm.of(request)
    if request.method == "POST":
        with form.refusals():
            _save(actor, administration, form)
            messages.success(request, _("Saved."))
            is_visible = queries.get_visible(actor, administration.pk) is not None
            page = reverse("administrations:detail", args=[administration.pk])
            return HttpResponseRedirect(page if is_visible else reverse("administrations:list"))
    context = page_context(request, administration, "overview") | {
        **queries.assignment_choices(actor),
        "form": form,
        "field_values": form.field_values(administration, _assigned_ids(administration)),
        "may_assign": actor.can(Permission.IMPORT_ADMINISTRATIONS),
    }
    return render(request, "administrations/edit.html", context)


def edit_settings(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show each setting with its origin; store it for the administration, or let it follow template or
    organisation.
    """
    administration = get_administration_or_404(request.actor, administration_id)
    form = SettingsPageForm.of(request)
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
        with form.refusals():
            changes = form.changes(administration, effective_settings(administration))
            services.change_settings(request.actor, administration.pk, changes)
            messages.success(request, _("Settings saved. They apply from the next sync."))
            return HttpResponseRedirect(request.path)
    effective = effective_settings(administration)
    field_values = form.field_values(effective)
    context = page_context(request, administration, "settings") | {
        "form": form,
        "effective": effective,
        "field_values": field_values,
        "resources_limited": "resources" in effective.limited_keys,
        "schedule_limited": "schedule" in effective.limited_keys,
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "audiences": list(AUDIENCE_LABELS.items()),
        "notify": [
            (
                event,
                label,
                field_values[f"{AUDIENCE_PREFIX}{event}"],
                effective.audience_sources[event],
                event in effective.silenced_events,
            )
            for event, label in audience_events().items()
        ],
        "may_change": request.actor.can(Permission.CHANGE_ADMINISTRATIONS),
    }
    return render(request, "administrations/settings.html", context)


def show_history(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the audit log of this administration."""
    administration = get_administration_or_404(request.actor, administration_id)
    renderer = AuditRenderer(request.actor)
    entries = [
        (entry, renderer.sentences_for(entry, administration.pk))
        for entry in queries.list_history(administration)
    ]
    context = page_context(request, administration, "history") | {"entries": entries}
    return render(request, "administrations/history.html", context)


@action_of("administrations:detail", "administration_id")
def set_favourite(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Add the administration to the actor's favourites, or remove it."""
    administration = get_administration_or_404(request.actor, administration_id)
    is_favourite = FavouriteForm.of(request).values_or_refusal()["is_favourite"]
    services.set_favourite(request.actor, administration.pk, is_favourite=is_favourite)
    return redirect_back(request)


def _issues(actor: Actor, administration: Administration) -> Sequence[IssueView]:
    issues_by_id = open_issues(actor, SubjectKind.ADMINISTRATION, [administration.pk])
    return issues_by_id.get(administration.pk, [])


def page_context(request: AuthenticatedRequest, administration: Administration, tab: str) -> dict[str, Any]:
    return {
        "administration": administration,
        "display_number": display_number(administration),
        "tab": tab,
        "nav_section": "administrations",
    }


def redirect_back(request: HttpRequest) -> HttpResponse:
    """Redirect to the page of this site that the form names, or to the list."""
    return HttpResponseRedirect(return_url(request, reverse("administrations:list")))


def _save(actor: Actor, administration: Administration, form: AdministrationForm) -> None:
    """Store the form as a bulk operation on one administration: planned, audited and undone like any other.
    Either everything is stored or nothing. Raises `Invalid` and `Refused`.
    """
    may_assign = actor.can(Permission.IMPORT_ADMINISTRATIONS)
    params = form.changes(administration, may_assign=may_assign)
    member_ids: set[int] | None = None
    if may_assign:
        added, removed = _changed_members(administration, form)
        member_ids = _requested_member_ids(administration, form, added, removed)
        if member_ids is None:
            params |= {"add": sorted(added), "remove": sorted(removed)}
    if any(value != [] for value in params.values()):
        services.change_administration(actor, administration.pk, AdministrationInput(**params))
    if member_ids is not None:
        restricted = form.values["access"] == "restricted"
        restriction_input = RestrictionInput(restricted=restricted, people=sorted(member_ids))
        restriction.set_access(actor, administration.pk, restriction_input)


def _changed_members(administration: Administration, form: AdministrationForm) -> tuple[set[int], set[int]]:
    """Return the ticked and the unticked members; none for a page without these boxes."""
    ticked, listed = set(form.values["people"]), set(form.values["listed"])
    if form.values["was_access"]:
        before = set(form.values["was_people"])
        return ticked - before, before - ticked
    assigned = _assigned_ids(administration)
    return ticked - assigned, listed & assigned - ticked


def _requested_member_ids(
    administration: Administration, form: AdministrationForm, added: set[int], removed: set[int]
) -> set[int] | None:
    """Return the ids of the members to name, or None if access does not change. Raises `Refused` if the
    access changed after the page was shown.
    """
    current = "restricted" if administration.restricted else "open"
    if (form.values["was_access"] or current) != current:
        raise Refused(
            _("Access was changed by another user after you opened this page. No changes were saved.")
        )
    if (form.values["access"] or "open") != current:
        return set(form.values["people"])
    if not administration.restricted or not (added or removed):
        return None
    return (_assigned_ids(administration) | added) - removed


def _assigned_ids(administration: Administration) -> set[int]:
    assignments = administration.assignments.in_organisation(administration.organisation_id)
    return set(assignments.values_list("membership_id", flat=True))
