"""Pages of administrations: the list with its bulk work, and one administration's own tabs."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from koppel.administrations import panels, queries, services
from koppel.administrations.doors import administration_or_404
from koppel.administrations.errors import NotThere
from koppel.administrations.models import Administration, Status
from koppel.administrations.settings import DEFAULTS, RESOURCES, InForce, in_force
from koppel.issues.queries import count_open, open_issues
from koppel.organisations.bundles import SCHEDULE_NAMES, WEEKDAYS
from koppel.organisations.bundles import asked as asked_bundle
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission
from koppel.web.doors import MemberRequest

FRESHNESSES = (
    ("fresh", gettext_lazy("Complete since yesterday")),
    ("stale", gettext_lazy("Older")),
    ("never", gettext_lazy("Never complete")),
)


def listing(request: MemberRequest) -> HttpResponse:
    """The list; asks for its rows again every two seconds while something is being read in."""
    return render(request, "administrations/list.html", _listed(request) | queries.choices(request.actor))


def rows(request: MemberRequest) -> HttpResponse:
    """The part of the list that changes by itself."""
    return render(request, "administrations/rows.html", _listed(request))


def _listed(request: MemberRequest) -> dict[str, Any]:
    actor, asked = request.actor, request.GET
    page = queries.page_of(queries.search(actor, asked.dict()), _number(asked.get("page", "1")))
    ids = [one.pk for one in page.rows]
    progress = panels.progress_of(actor.organisation_id, ids)
    issues = count_open(actor.organisation_id, "administration", ids)
    state = queries.import_state(actor, int(asked["import"])) if asked.get("import", "").isdecimal() else None
    return {
        "place": "administrations",
        "page": page,
        "rows": [(one, progress.get(one.pk), issues.get(one.pk, 0)) for one in page.rows],
        "state": state,
        "seconds_left": max((one.seconds_left or 0 for one in progress.values()), default=0),
        "busy": any(one.status in (Status.QUEUED, Status.CONFIGURING) for one in page.rows)
        or bool(state and state.open),
        "asked": asked,
        "query": _without(request, "page"),
        "statuses": Status.choices,
        "freshnesses": FRESHNESSES,
        "filtered": any(asked.get(key) for key in (*queries.FILTERS, "q", "import", "favourites")),
    }


@require_POST
def bulk(request: MemberRequest) -> HttpResponse:
    """Assign, activate or deactivate what is ticked."""
    ids = [int(one) for one in request.POST.getlist("id") if one.isdecimal()]
    act = request.POST.get("act", "")
    try:
        outcome = _act(request, act, ids)
    except NotThere:
        messages.error(request, _("That division, template or person no longer exists. Nothing was changed."))
        return _back(request)
    if outcome is not None:
        count = len(outcome.changed)
        text = ngettext("%(count)d administration was changed.", "%(count)d administrations were changed.", count)
        messages.success(request, text % {"count": count})
        if outcome.skipped:
            messages.warning(
                request, _("%d were left as they are: their state does not allow it.") % len(outcome.skipped)
            )
    return _back(request)


def detail(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Overview: issues first, then the cards that other slices add, people and division."""
    one = administration_or_404(request.actor, administration_id)
    context = _frame(request, one, "overview") | {
        "issues": open_issues(one.organisation_id, "administration", [one.pk]).get(one.pk, []),
        "cards": panels.cards(),
        "people": one.assignments.filter(organisation_id=one.organisation_id).select_related("membership__user"),
        "progress": panels.progress_of(one.organisation_id, [one.pk]).get(one.pk),
    }
    return render(request, "administrations/overview.html", context)


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
    context = _frame(request, one, "settings") | {
        "in_force": in_force(one),
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "may_change": request.actor.may(Permission.CHANGE_ADMINISTRATIONS),
    }
    return render(request, "administrations/settings.html", context)


def history(request: MemberRequest, administration_id: int) -> HttpResponse:
    """Who did what to this administration."""
    one = administration_or_404(request.actor, administration_id)
    context = _frame(request, one, "history") | {"entries": queries.history_of(one)}
    return render(request, "administrations/history.html", context)


@require_POST
def star(request: MemberRequest, administration_id: int) -> HttpResponse:
    one = administration_or_404(request.actor, administration_id)
    services.star(request.actor, one.pk, starred=request.POST.get("starred") == "1")
    return _back(request)


def _frame(request: MemberRequest, one: Administration, tab: str) -> dict[str, Any]:
    return {"administration": one, "tab": tab, "place": "administrations"}


def _act(request: MemberRequest, act: str, ids: list[int]) -> services.Outcome | None:
    if not ids:
        messages.warning(request, _("Tick at least one administration first."))
        return None
    if act == "activate":
        return services.activate(request.actor, ids)
    if act == "deactivate":
        return services.deactivate(request.actor, ids)
    chosen = {key: _chosen(request, key) for key in ("division", "template", "user")}
    if not any(chosen.values()):
        messages.warning(request, _("Choose a division, a template or a person to assign."))
        return None
    user = chosen["user"]
    return services.assign(
        request.actor, ids, division_id=chosen["division"], template_id=chosen["template"],
        add_membership_ids=[user] if user else [],
    )  # fmt: skip


def _chosen(request: HttpRequest, key: str) -> int | None:
    text = request.POST.get(key, "")
    return int(text) if text.isdecimal() else None


def _asked_settings(request: HttpRequest, one: Administration) -> dict[str, Any]:
    """What the form changes. A value that is in force already stays where it comes from. Raises `Refused`."""
    if key := request.POST.get("reset"):
        return {key: None} if key in DEFAULTS else {}
    wanted = {"resources": request.POST.getlist("resources"), **asked_bundle(request.POST, {})}
    now = in_force(one)
    return {key: value for key, value in wanted.items() if not _is_in_force(now, key, value)}


def _is_in_force(now: InForce, key: str, value: Any) -> bool:
    if key == "resources":
        return set(value) == set(now.resources)
    return bool(getattr(now, key) == value)


def _back(request: HttpRequest) -> HttpResponse:
    target = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(target if safe else "/administrations/")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 7 else 1


def _without(request: HttpRequest, *names: str) -> str:
    query = request.GET.copy()
    for name in names:
        query.pop(name, None)
    return query.urlencode()
