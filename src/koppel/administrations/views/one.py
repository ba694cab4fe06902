"""One administration's own tabs: overview, settings, history; who works on it; the star."""

from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from koppel.administrations import access, life, panels, queries, services
from koppel.administrations.bulk import operations
from koppel.administrations.cells import shown_number
from koppel.administrations.doors import administration_or_404
from koppel.administrations.errors import NotThere
from koppel.administrations.models import Administration
from koppel.administrations.settings import DEFAULTS, RESOURCES, InForce, in_force
from koppel.administrations.trail.words import Words
from koppel.issues.queries import open_issues
from koppel.kit.parameters import id_of
from koppel.organisations.bundles import AUDIENCES, SCHEDULE_NAMES, WEEKDAYS, events, told_of
from koppel.organisations.bundles import asked as asked_bundle
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission
from koppel.registers.sectors import SECTIONS
from koppel.web.doors import MemberRequest


def detail(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Overview: issues first, then the cards that other slices add, people and division."""
    one = administration_or_404(request.actor, administration_id)
    people = one.assignments.filter(organisation_id=one.organisation_id).select_related("membership__user")
    context = frame(request, one, "overview") | {
        "issues": open_issues(one.organisation_id, "administration", [one.pk]).get(one.pk, []),
        "cards": panels.cards(),
        "chosen": [each.membership for each in people.order_by("membership__user__name") if not each.automatic],
        "by_default": [each.membership for each in people.order_by("membership__user__name") if each.automatic],
        "progress": panels.progress_of(one.organisation_id, [one.pk]).get(one.pk),
        "duplicates": life.duplicates_of(request.actor, one),
        "predecessor": queries.visible_one(request.actor, one.predecessor_id),
        "successors": queries.visible_successors(request.actor, one),
        "sector_name": SECTIONS.get(one.sector, one.sector),
        "can_withdraw": one.left_on is None,
    }
    return render(request, "administrations/overview.html", context)


def edit(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Division, template, people and the firm's own client number of one administration, and whether it is restricted."""
    actor = request.actor
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    one = administration_or_404(actor, administration_id)
    if request.method == "POST":
        try:
            _save(request, one)
            messages.success(request, _("Saved."))
            seen = queries.visible_one(actor, one.pk)
            target = reverse("administrations:detail", args=[one.pk]) if seen else reverse("administrations:list")
            return HttpResponseRedirect(target)
        except Refused as refusal:
            messages.error(request, str(refusal))
        except NotThere:
            messages.error(request, _("That division, template or person no longer exists. Nothing was changed."))
    own = one.assignments.filter(organisation_id=one.organisation_id)
    context = frame(request, one, "overview") | {
        **queries.choices(actor),
        "named": dict(own.values_list("membership_id", "automatic")),
        "may_assign": actor.may(Permission.IMPORT),
    }
    return render(request, "administrations/edit.html", context)


def settings_page(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Each setting with where it comes from; saving stores it here, resetting gives it back to template or organisation."""
    one = administration_or_404(request.actor, administration_id)
    if request.method == "POST":
        request.actor.require(Permission.CHANGE_ADMINISTRATIONS)
        try:
            services.change_settings(request.actor, one.pk, _asked_settings(request, one))
            messages.success(request, _("The settings are stored. They hold from the next sync on."))
            return HttpResponseRedirect(request.path)
        except Refused as refusal:
            messages.error(request, str(refusal))
    now = in_force(one)
    context = frame(request, one, "settings") | {
        "in_force": now,
        "resources_capped": "resources" in now.capped,
        "schedule_capped": "schedule" in now.capped,
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "audiences": list(AUDIENCES.items()),
        "notify": [
            (event, label, now.notify[event], now.told_by[event], event in now.silenced)
            for event, label in events().items()
        ],
        "may_change": request.actor.may(Permission.CHANGE_ADMINISTRATIONS),
    }
    return render(request, "administrations/settings.html", context)


def history(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Who did what to this administration."""
    one = administration_or_404(request.actor, administration_id)
    words = Words(request.actor)
    entries = [(entry, words.of_administration(entry, one.pk)) for entry in queries.history_of(one)]
    context = frame(request, one, "history") | {"entries": entries}
    return render(request, "administrations/history.html", context)


@require_POST
def star(request: MemberRequest, administration_id: int) -> HttpResponse:
    one = administration_or_404(request.actor, administration_id)
    services.star(request.actor, one.pk, starred=request.POST.get("starred") == "1")
    return back(request)


def frame(request: MemberRequest, one: Administration, tab: str) -> dict[str, Any]:
    return {"administration": one, "shown_number": shown_number(one), "tab": tab, "place": "administrations"}


def back(request: HttpRequest) -> HttpResponse:
    """To the page that the form names, if it is ours."""
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(target if safe else "/administrations/")


def _save(request: MemberRequest, one: Administration) -> None:
    """One act of bulk work on one administration: judged, kept in the trail and undone like any other. All of it or nothing.

    Asked for is what was changed on the page: `was_…` is what it showed, and somebody else may have been at work since."""
    form, actor = request.POST, request.actor
    wanted: dict[str, Any] = {}
    number = form.get("client_number", "").replace("\0", "").strip()[:60]
    if number != form.get("was_client_number", one.client_number):
        wanted["client_number"] = number
    named: set[int] | None = None
    if actor.may(Permission.IMPORT):
        for key in ("division", "template"):
            if form.get(key, "") != form.get(f"was_{key}", str(getattr(one, f"{key}_id") or "")):
                wanted[key] = id_of(form.get(key, ""))
        added, removed = _people_changed(request, one)
        named = _named(request, one, added, removed)
        if named is None:
            wanted |= {"add": sorted(added), "remove": sorted(removed)}
    with transaction.atomic():
        if any(value != [] for value in wanted.values()):
            draft = operations.preview(actor, "change", wanted, operations.Selection(ids=[one.pk]))
            operations.start(actor, draft.pk)
        if named is not None:
            restricted = form.get("access") == "restricted"
            access.set_access(actor, one.pk, restricted=restricted, membership_ids=named)


def _people_changed(request: MemberRequest, one: Administration) -> tuple[set[int], set[int]]:
    """Who was ticked and who was unticked; nobody on a page from before it had these boxes."""
    form = request.POST
    ticked, shown = (_ids(request, key) for key in ("people", "shown"))
    if "was_access" in form:
        were = _ids(request, "was_people")
        return ticked - were, were - ticked
    own = one.assignments.filter(organisation_id=one.organisation_id).values_list("membership_id", flat=True)
    return ticked - set(own), shown & set(own) - ticked


def _ids(request: MemberRequest, name: str) -> set[int]:
    return set(filter(None, map(id_of, request.POST.getlist(name))))


def _named(request: MemberRequest, one: Administration, added: set[int], removed: set[int]) -> set[int] | None:
    """Whom to name on it when its access changes, or it is restricted; None: neither. Raises `Refused` for a page that showed
    another access than it has now: whoever saved it has not seen whom it is for."""
    form, now = request.POST, "restricted" if one.restricted else "open"
    was, wanted = form.get("was_access", now), "restricted" if form.get("access") == "restricted" else "open"
    if was != now:
        raise Refused(_("Somebody has changed who may see it since you opened this page. Nothing was changed."))
    if wanted != now:
        return _ids(request, "people")
    if not one.restricted or not (added or removed):
        return None
    own = one.assignments.filter(organisation_id=one.organisation_id).values_list("membership_id", flat=True)
    return (set(own) | added) - removed


def _asked_settings(request: HttpRequest, one: Administration) -> dict[str, Any]:
    """What the form changes. A value that is in force already stays where it comes from. Raises `Refused`."""
    if key := request.POST.get("reset"):
        event = key.removeprefix("notify-")
        if event != key:
            return {"notify": {name: to for name, to in told_of(one.settings).items() if name != event} or None}
        return {key: None} if key in DEFAULTS else {}
    wanted = {"resources": request.POST.getlist("resources"), **asked_bundle(request.POST)}
    now = in_force(one)
    told = {event: to for event, to in wanted.pop("notify", {}).items() if to != now.notify[event]}
    changed = {key: value for key, value in wanted.items() if not _is_in_force(now, key, value)}
    return changed | ({"notify": told_of(one.settings) | told} if told else {})


def _is_in_force(now: InForce, key: str, value: Any) -> bool:
    if key == "resources":
        return set(value) == set(now.resources)
    return bool(getattr(now, key) == value)
