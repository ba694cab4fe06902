"""Pages of the firm: people, divisions, templates, activity, settings."""

from typing import Any

from allauth.account.forms import ResetPasswordForm
from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.audit.models import AuditEntry
from koppel.organisations import services
from koppel.organisations.bundles import RESOURCES, SCHEDULE_NAMES, WEEKDAYS, asked
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Organisation
from koppel.organisations.policy import Actor, Permission, Role
from koppel.web.doors import MemberRequest

ACTIVITY_ROWS = 200


def people(request: MemberRequest) -> HttpResponse:
    """Everybody with role, divisions and state. A new person gets a mail with which to choose a password."""
    request.actor.require(Permission.PEOPLE)
    if request.method == "POST":
        return _done(request, _change_person)
    found = Membership.objects.filter(organisation_id=request.actor.organisation_id).select_related("user")
    own = Division.objects.filter(organisation_id=request.actor.organisation_id, archived_at=None).order_by("name")
    rows = [
        (one, {each.division_id for each in one.divisions.all()}, _may_change(request.actor, one))
        for one in found.prefetch_related("divisions").order_by("-is_active", "user__name")
    ]
    roles = [(key, label) for key, label in Role.choices if _may_give(request.actor, Role(key))]
    context = {"place": "people", "rows": rows, "roles": roles, "divisions": own}
    return render(request, "organisations/people.html", context)


def activity(request: MemberRequest) -> HttpResponse:
    """The newest acts of everybody, and older ones page by page."""
    request.actor.require(Permission.ORGANISATION)
    found = AuditEntry.objects.filter(organisation_id=request.actor.organisation_id).order_by("-pk")
    words = request.GET.get("q", "").replace("\0", "").strip()
    if words:
        found = found.filter(Q(subject_name__icontains=words) | Q(actor_name__icontains=words))
    before = request.GET.get("before", "")
    if before.isdecimal():
        found = found.filter(pk__lt=int(before))
    entries = list(found[: ACTIVITY_ROWS + 1])
    older = entries[ACTIVITY_ROWS - 1].pk if len(entries) > ACTIVITY_ROWS else None
    context = {"place": "activity", "entries": entries[:ACTIVITY_ROWS], "search": words, "older": older}
    return render(request, "organisations/activity.html", context)


def settings_page(request: MemberRequest) -> HttpResponse:
    """The organisation's name, and the settings that hold where neither administration nor template sets one."""
    request.actor.require(Permission.ORGANISATION)
    if request.method == "POST":
        return _done(request, _change_organisation)
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    context = {"place": "settings", "organisation": organisation, **_choices()}
    return render(request, "organisations/settings.html", context)


def _done(request: MemberRequest, act: Any) -> HttpResponse:
    """Do it, say so, and show the page again; a refusal is said with its reason."""
    try:
        act(request)
        messages.success(request, _("Saved."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(request.path)


def _change_person(request: MemberRequest) -> None:
    form = request.POST
    role = Role(form["role"]) if form.get("role") in Role.values else Role.USER
    key = _number(form.get("id", ""))
    if key is None:
        key = _add_person(request, role)
    else:
        services.change_person(request.actor, key, role=role, is_active=form.get("is_active") == "1")
    chosen = [int(one) for one in form.getlist("divisions") if one.isdecimal()]
    services.set_divisions(request.actor, key, chosen)


def _add_person(request: MemberRequest, role: Role) -> int:
    """The new membership's id. Somebody who is new to Koppel gets a mail."""
    email, name = request.POST.get("email", "").strip(), request.POST.get("name", "")
    membership, is_new = services.add_person(request.actor, email=email, name=name, role=role)
    if is_new:
        form = ResetPasswordForm(data={"email": membership.user.email})
        if form.is_valid():
            form.save(request)
    return membership.pk


def _change_organisation(request: MemberRequest) -> None:
    before = Organisation.objects.values_list("settings", flat=True).get(pk=request.actor.organisation_id)
    values = asked(request.POST, before)
    services.change_organisation(request.actor, name=request.POST.get("name", ""), settings=values)


def _may_give(actor: Actor, role: Role) -> bool:
    return role != Role.ADMINISTRATOR or actor.role == Role.ADMINISTRATOR


def _may_change(actor: Actor, membership: Membership) -> bool:
    return _may_give(actor, Role(membership.role))


def _choices() -> dict[str, Any]:
    """What a form of settings offers."""
    return {
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
    }


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None
