"""One administration's own tabs: overview, settings, history, assignments, favourites."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations import bulk, queries, restriction, services
from koppel.administrations.audit_log.rendering import AuditRenderer
from koppel.administrations.effective_settings import DEFAULTS, RESOURCES, EffectiveSettings, effective_settings
from koppel.administrations.errors import NotFound
from koppel.administrations.hooks import ordered_cards, progress_of
from koppel.administrations.lifecycle import predecessors
from koppel.administrations.list.cell_values import display_number
from koppel.administrations.models import Administration
from koppel.administrations.shortcuts import get_administration_or_404
from koppel.company_registers.sectors.sections import SECTIONS
from koppel.issues.queries import open_issues
from koppel.kit.web.parameters import id_of
from koppel.organisations.errors import Refused
from koppel.organisations.hooks import audience_events
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Permission
from koppel.organisations.settings_schema import (
    AUDIENCE_LABELS,
    SCHEDULE_NAMES,
    WEEKDAYS,
    notification_audiences,
    parse_settings_form,
)


def detail(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show the Overview: issues first, then the cards that other apps add, people and division."""
    administration = get_administration_or_404(request.actor, administration_id)
    people = administration.assignments.filter(organisation_id=administration.organisation_id).select_related(
        "membership__user"
    )
    context = page_context(request, administration, "overview") | {
        "issues": open_issues(administration.organisation_id, "administration", [administration.pk]).get(
            administration.pk, []
        ),
        "cards": ordered_cards(),
        "chosen": [each.membership for each in people.order_by("membership__user__name") if not each.automatic],
        "by_default": [each.membership for each in people.order_by("membership__user__name") if each.automatic],
        "progress": progress_of(administration.organisation_id, [administration.pk]).get(administration.pk),
        "duplicates": predecessors.list_duplicates(request.actor, administration),
        "predecessor": queries.get_visible(request.actor, administration.predecessor_id),
        "successors": queries.list_successors(request.actor, administration),
        "sector_name": SECTIONS.get(administration.sector, administration.sector),
        "can_withdraw": administration.client_left_on is None,
    }
    return render(request, "administrations/overview.html", context)


def edit(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Edit division, template, people and the firm's own client number, and whether it is restricted."""
    actor = request.actor
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = get_administration_or_404(actor, administration_id)
    if request.method == "POST":
        try:
            _save(request, administration)
            messages.success(request, _("Saved."))
            visible_administration = queries.get_visible(actor, administration.pk)
            target = (
                reverse("administrations:detail", args=[administration.pk])
                if visible_administration
                else reverse("administrations:list")
            )
            return HttpResponseRedirect(target)
        except Refused as refusal:
            messages.error(request, str(refusal))
        except NotFound:
            messages.error(request, _("That division, template or person no longer exists. Nothing was changed."))
    assignments = administration.assignments.filter(organisation_id=administration.organisation_id)
    context = page_context(request, administration, "overview") | {
        **queries.assignment_choices(actor),
        "named": dict(assignments.values_list("membership_id", "automatic")),
        "may_assign": actor.can(Permission.IMPORT_ADMINISTRATIONS),
    }
    return render(request, "administrations/edit.html", context)


def settings_page(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show each setting with where it comes from; saving stores it here, resetting gives it back."""
    administration = get_administration_or_404(request.actor, administration_id)
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
        try:
            services.change_settings(request.actor, administration.pk, _requested_settings(request, administration))
            messages.success(request, _("The settings are stored. They hold from the next sync on."))
            return HttpResponseRedirect(request.path)
        except Refused as refusal:
            messages.error(request, str(refusal))
    now = effective_settings(administration)
    context = page_context(request, administration, "settings") | {
        "effective": now,
        "resources_limited": "resources" in now.limited_keys,
        "schedule_limited": "schedule" in now.limited_keys,
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "audiences": list(AUDIENCE_LABELS.items()),
        "notify": [
            (event, label, now.notify[event], now.audience_sources[event], event in now.silenced_events)
            for event, label in audience_events().items()
        ],
        "may_change": request.actor.can(Permission.CHANGE_ADMINISTRATIONS),
    }
    return render(request, "administrations/settings.html", context)


def history(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    """Show who did what to this administration."""
    administration = get_administration_or_404(request.actor, administration_id)
    renderer = AuditRenderer(request.actor)
    entries = [
        (entry, renderer.of_administration(entry, administration.pk)) for entry in queries.list_history(administration)
    ]
    context = page_context(request, administration, "history") | {"entries": entries}
    return render(request, "administrations/history.html", context)


@require_POST
def set_favourite(request: AuthenticatedRequest, administration_id: int) -> HttpResponse:
    administration = get_administration_or_404(request.actor, administration_id)
    services.set_favourite(request.actor, administration.pk, is_favourite=request.POST.get("is_favourite") == "1")
    return redirect_back(request)


def page_context(request: AuthenticatedRequest, administration: Administration, tab: str) -> dict[str, Any]:
    return {
        "administration": administration,
        "shown_number": display_number(administration),
        "tab": tab,
        "nav_section": "administrations",
    }


def redirect_back(request: HttpRequest) -> HttpResponse:
    """Redirect to the page that the form names, if it is ours."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(target if safe else reverse("administrations:list"))


def _save(request: AuthenticatedRequest, administration: Administration) -> None:
    """Save by a bulk operation on one administration: planned, audited and undone like any other. All of it or nothing.

    Asked for is what was changed on the page: `was_…` is what it showed, and somebody else may have been at work since."""
    form, actor = request.POST, request.actor
    params: dict[str, Any] = {}
    number = form.get("client_number", "").replace("\0", "").strip()[:60]
    if number != form.get("was_client_number", administration.client_number):
        params["client_number"] = number
    member_ids: set[int] | None = None
    if actor.can(Permission.IMPORT_ADMINISTRATIONS):
        for key in ("division", "template"):
            if form.get(key, "") != form.get(f"was_{key}", str(getattr(administration, f"{key}_id") or "")):
                params[key] = id_of(form.get(key, ""))
        added, removed = _changed_members(request, administration)
        member_ids = _requested_member_ids(request, administration, added, removed)
        if member_ids is None:
            params |= {"add": sorted(added), "remove": sorted(removed)}
    with transaction.atomic():
        if any(value != [] for value in params.values()):
            draft = bulk.preview(actor, "change", params, bulk.Selection(ids=[administration.pk]))
            bulk.start_operation(actor, draft.pk)
        if member_ids is not None:
            restricted = form.get("access") == "restricted"
            restriction.set_access(actor, administration.pk, restricted=restricted, membership_ids=member_ids)


def _changed_members(request: AuthenticatedRequest, administration: Administration) -> tuple[set[int], set[int]]:
    """Return who was ticked and who was unticked; nobody on a page from before it had these boxes."""
    form = request.POST
    ticked, shown_ids = (_ids(request, key) for key in ("people", "shown"))
    if "was_access" in form:
        were = _ids(request, "was_people")
        return ticked - were, were - ticked
    assigned = administration.assignments.filter(organisation_id=administration.organisation_id).values_list(
        "membership_id", flat=True
    )
    return ticked - set(assigned), shown_ids & set(assigned) - ticked


def _ids(request: AuthenticatedRequest, name: str) -> set[int]:
    return set(filter(None, map(id_of, request.POST.getlist(name))))


def _requested_member_ids(
    request: AuthenticatedRequest, administration: Administration, added: set[int], removed: set[int]
) -> set[int] | None:
    """Return whom to name on it when its access changes, or it is restricted; None: neither.

    Raises `Refused` for a page that showed another access than it has now: whoever saved it has not seen whom it is for."""
    form, now = request.POST, "restricted" if administration.restricted else "open"
    was, requested_access = form.get("was_access", now), "restricted" if form.get("access") == "restricted" else "open"
    if was != now:
        raise Refused(_("Somebody has changed who may see it since you opened this page. Nothing was changed."))
    if requested_access != now:
        return _ids(request, "people")
    if not administration.restricted or not (added or removed):
        return None
    assigned = administration.assignments.filter(organisation_id=administration.organisation_id).values_list(
        "membership_id", flat=True
    )
    return (set(assigned) | added) - removed


def _requested_settings(request: HttpRequest, administration: Administration) -> dict[str, Any]:
    """Return what the form changes. A value that is in force already stays where it comes from. Raises `Refused`."""
    if key := request.POST.get("reset"):
        event = key.removeprefix("notify-")
        if event != key:
            return {
                "notify": {
                    name: to for name, to in notification_audiences(administration.settings).items() if name != event
                }
                or None
            }
        return {key: None} if key in DEFAULTS else {}
    requested: dict[str, Any] = {"resources": request.POST.getlist("resources"), **parse_settings_form(request.POST)}
    now = effective_settings(administration)
    audiences = {event: to for event, to in requested.pop("notify", {}).items() if to != now.notify[event]}
    changed = {key: value for key, value in requested.items() if not _is_effective(now, key, value)}
    return changed | ({"notify": notification_audiences(administration.settings) | audiences} if audiences else {})


def _is_effective(now: EffectiveSettings, key: str, value: Any) -> bool:
    if key == "resources":
        return set(value) == set(now.resources)
    return bool(getattr(now, key) == value)
