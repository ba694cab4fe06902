"""Pages of the firm: people, divisions, templates, activity, settings."""

from typing import Any

from allauth.account.forms import ResetPasswordForm
from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.translation import gettext as _

from koppel.audit.models import AuditEntry
from koppel.organisations import services
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Membership, Organisation, Template
from koppel.organisations.policy import Permission, Role
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
        (one, {each.division_id for each in one.divisions.all()})
        for one in found.prefetch_related("divisions").order_by("-is_active", "user__name")
    ]
    return render(
        request, "organisations/people.html", {"place": "people", "rows": rows, "roles": Role.choices, "divisions": own}
    )


def divisions(request: MemberRequest) -> HttpResponse:
    request.actor.require(Permission.PEOPLE)
    if request.method == "POST":
        return _done(request, _change_division)
    rows = _named(request, Division).annotate(count=Count("administrations", distinct=True))
    return render(request, "organisations/divisions.html", {"place": "divisions", "rows": rows})


def templates(request: MemberRequest) -> HttpResponse:
    request.actor.require(Permission.PEOPLE)
    if request.method == "POST":
        return _done(request, _change_template)
    rows = _named(request, Template).annotate(count=Count("administrations", distinct=True))
    return render(request, "organisations/templates.html", {"place": "templates", "rows": rows})


def activity(request: MemberRequest) -> HttpResponse:
    """The newest acts of everybody."""
    request.actor.require(Permission.ORGANISATION)
    found = AuditEntry.objects.filter(organisation_id=request.actor.organisation_id).order_by("-at", "-pk")
    if words := request.GET.get("q", "").strip():
        found = found.filter(subject_name__icontains=words) | found.filter(actor_name__icontains=words)
    context = {"place": "activity", "entries": found[:ACTIVITY_ROWS], "search": request.GET.get("q", "")}
    return render(request, "organisations/activity.html", context)


def settings_page(request: MemberRequest) -> HttpResponse:
    request.actor.require(Permission.ORGANISATION)
    if request.method == "POST":
        return _done(request, lambda asked: services.change_organisation(asked.actor, name=asked.POST.get("name", "")))
    organisation = Organisation.objects.get(pk=request.actor.organisation_id)
    return render(request, "organisations/settings.html", {"place": "settings", "organisation": organisation})


def _done(request: MemberRequest, act: Any) -> HttpResponse:
    """Do it, say so, and show the page again; a refusal is said with its reason."""
    try:
        act(request)
        messages.success(request, _("Saved."))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return HttpResponseRedirect(request.path)


def _change_person(request: MemberRequest) -> None:
    asked = request.POST
    role = Role(asked["role"]) if asked.get("role") in Role.values else Role.USER
    key = asked.get("id", "")
    if not key.isdecimal():
        membership, is_new = services.add_person(
            request.actor, email=asked.get("email", "").strip(), name=asked.get("name", ""), role=role
        )
        key = str(membership.pk)
        if is_new:
            form = ResetPasswordForm(data={"email": membership.user.email})
            if form.is_valid():
                form.save(request)
    else:
        services.change_person(request.actor, int(key), role=role, is_active=asked.get("is_active") == "1")
    chosen = [int(one) for one in asked.getlist("divisions") if one.isdecimal()]
    services.set_divisions(request.actor, int(key), chosen)


def _change_division(request: MemberRequest) -> None:
    asked = request.POST
    services.save_division(request.actor, _key(request), asked.get("name", ""), archived=asked.get("archived") == "1")


def _change_template(request: MemberRequest) -> None:
    """Renames and archives here; the settings of a template are kept as they are, or copied for a new one."""
    asked, key = request.POST, _key(request)
    own = Template.objects.filter(organisation_id=request.actor.organisation_id)
    base = own.filter(pk=key or (int(asked["copy"]) if asked.get("copy", "").isdecimal() else 0)).first()
    values = dict(base.settings) if base else {}
    years, schedule = asked.get("fiscal_years_back", ""), asked.get("schedule", "")
    if years.isdecimal() and int(years) <= 20:
        values["fiscal_years_back"] = int(years)
    if schedule in ("off", "daily", "night", "hourly_2", "hourly_4", "hourly_8"):
        values["schedule"] = schedule
    services.save_template(request.actor, key, asked.get("name", ""), values, archived=asked.get("archived") == "1")


def _key(request: MemberRequest) -> int | None:
    text = request.POST.get("id", "")
    return int(text) if text.isdecimal() else None


def _named(request: MemberRequest, kind: type[Division] | type[Template]) -> "QuerySet[Any]":
    found = kind._default_manager.filter(organisation_id=request.actor.organisation_id)
    return found.order_by("archived_at", "name")
