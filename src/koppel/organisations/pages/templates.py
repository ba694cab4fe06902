"""Pages of templates: the list, and the editor that shows what a change would do before it does."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from koppel.kit.confirmation import unconfirmed
from koppel.kit.parameters import id_of
from koppel.organisations import templates_of_settings
from koppel.organisations.bundles import (
    AUDIENCE_DEFAULT,
    AUDIENCES,
    DEFAULTS,
    KEYS,
    RESOURCES,
    SCHEDULE_NAMES,
    WEEKDAYS,
    asked,
    events,
    resource_label,
    told_of,
)
from koppel.organisations.dependants import Effects
from koppel.organisations.errors import Refused
from koppel.organisations.models import Template
from koppel.organisations.pages import questions
from koppel.organisations.policy import Actor, Permission
from koppel.web.doors import MemberRequest, takes

PLACE = "templates"


@takes()
def listing(request: MemberRequest) -> HttpResponse:
    """Named bundles of settings with how many administrations have each."""
    request.actor.require(Permission.PEOPLE)
    if request.method == "POST":
        return _make(request)
    rows = [(line, in_words(line.settings)) for line in templates_of_settings.lines(request.actor)]
    context = {"place": PLACE, "rows": rows, "no_bundle": {}, **_choices(request.actor, {})}
    return render(request, "organisations/templates.html", context)


def one(request: MemberRequest, template_id: int) -> HttpResponse:
    """Its settings. Saving one that administrations have shows first how many change and how."""
    request.actor.require(Permission.PEOPLE)
    template = _or_404(request.actor, template_id)
    context: dict[str, Any] = {"bundle": template.settings, "name": template.name, "archived": template.archived_at}
    if request.method == "POST":
        try:
            return _change(request, template, context)
        except Refused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.path)
    return _editor(request, template, context)


@require_POST
def merge(request: MemberRequest, template_id: int) -> HttpResponse:
    """Its administrations get another one."""
    request.actor.require(Permission.PEOPLE)
    into = request.POST.get("into", "")
    try:
        key = id_of(into) or 0
        leaving, staying = templates_of_settings.check_merge(request.actor, template_id, key)
        line = next(line for line in templates_of_settings.lines(request.actor) if line.id == leaving.pk)
        facts, back = (leaving.pk, line.administrations), reverse("organisations:template", args=[leaving.pk])
        question = questions.merge("template", (leaving.name, staying.name), facts, key, back)
        if page := unconfirmed(request, question):
            return page
        moved = templates_of_settings.merge(request.actor, template_id, key)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("organisations:template", args=[template_id]))
    text = ngettext("%(count)d administration has moved.", "%(count)d administrations have moved.", moved)
    messages.success(request, text % {"count": moved})
    return HttpResponseRedirect(reverse("organisations:template", args=[int(into)]))


def in_words(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(setting, value) of what a bundle sets."""
    return [(str(KEYS[key]), value_in_words(key, settings[key])) for key in KEYS if key in settings]


def value_in_words(key: str, value: Any) -> str:
    if key == "resources":
        if set(value) >= set(RESOURCES):
            return _("everything")
        return ", ".join(resource_label(one) for one in RESOURCES if one in value) or _("nothing")
    if key == "schedule":
        return str(SCHEDULE_NAMES.get(value, value))
    if key == "full_comparison_weekday":
        return str(WEEKDAYS[value])
    if key == "notify":
        told = [f"{events().get(event, event)}: {AUDIENCES.get(one, one)}" for event, one in value.items()]
        return "; ".join(told) or str(AUDIENCES[AUDIENCE_DEFAULT])
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _make(request: MemberRequest) -> HttpResponse:
    try:
        made = templates_of_settings.make(request.actor, request.POST.get("name", ""), asked(request.POST))
    except Refused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(request.path)
    messages.success(request, _("Saved."))
    return HttpResponseRedirect(reverse("organisations:template", args=[made.pk]))


def _change(request: MemberRequest, template: Template, context: dict[str, Any]) -> HttpResponse:
    """Confirmed, or without effect: stored. Else the same form with what it would do and a second button."""
    form = request.POST
    settings, archived = asked(form), form.get("archived") == "1"
    effects = templates_of_settings.preview(request.actor, template.pk, settings)
    if effects.changed and form.get("confirmed") != str(effects.changed):
        context |= {"bundle": settings, "name": form.get("name", ""), "archived": archived}
        return _editor(request, template, context | _told(effects))
    templates_of_settings.change(
        request.actor, template.pk, name=form.get("name", ""), settings=settings, archived=archived
    )
    messages.success(request, _("Saved."))
    return HttpResponseRedirect(request.path)


def _told(effects: Effects) -> dict[str, Any]:
    lines: Sequence[tuple[str, str, str, int]] = [
        (str(KEYS[one.key]), value_in_words(one.key, one.before), value_in_words(one.key, one.after), one.count)
        for one in effects.differences
    ]
    return {"effects": effects, "effect_lines": lines}


def _editor(request: MemberRequest, template: Template, context: Mapping[str, Any]) -> HttpResponse:
    lines = templates_of_settings.lines(request.actor)
    line = next(each for each in lines if each.id == template.pk)
    others = [each for each in lines if not each.is_archived and each.id != template.pk]
    choices = _choices(request.actor, context["bundle"])
    frame = {"place": PLACE, "template": template, "line": line, "others": others, **choices}
    return render(request, "organisations/template.html", {**frame, **context})


def _choices(actor: Actor, bundle: Mapping[str, Any]) -> dict[str, Any]:
    """What the form offers, and what holds where it sets nothing."""
    below = templates_of_settings.beneath(actor)
    return {
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "beneath": {key: _beneath(key, below) for key in KEYS},
        "cap": set(RESOURCES) - set(below.get("resources", RESOURCES)),
        "schedule_is_off": below.get("schedule") == "off",
        "audiences": list(AUDIENCES.items()),
        "notify": _notify(bundle, below),
    }


def _notify(bundle: Mapping[str, Any], below: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(event, its name, what the bundle says, what holds where it says nothing) of each event."""
    own, beneath = told_of(bundle), told_of(below)
    return [(key, str(label), own.get(key, ""), _told_beneath(beneath.get(key))) for key, label in events().items()]


def _told_beneath(audience: str | None) -> str:
    source = _("from the organisation") if audience else _("Koppel's default")
    return f"{AUDIENCES[audience or AUDIENCE_DEFAULT]} ({source})"


def _beneath(key: str, below: Mapping[str, Any]) -> str:
    """What holds where a template does not set this, and who says so."""
    value = value_in_words(key, below.get(key, DEFAULTS[key]))
    source = _("from the organisation") if key in below else _("Koppel's default")
    return f"{value} ({source})"


def _or_404(actor: Actor, template_id: int) -> Template:
    try:
        return templates_of_settings.template_named(actor, template_id)
    except Refused:
        raise Http404 from None
