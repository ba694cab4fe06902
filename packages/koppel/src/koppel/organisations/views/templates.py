"""Pages of templates: the list, and the editor, which shows the effect of a change first."""

from collections.abc import Mapping, Sequence
from typing import Any

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
from koppel.organisations.groups import settings_templates
from koppel.organisations.groups.hooks import SettingsImpact
from koppel.organisations.hooks import audience_events
from koppel.organisations.models import SettingsMap, Template
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import (
    AUDIENCE_DEFAULT,
    AUDIENCE_LABELS,
    DEFAULTS,
    RESOURCES,
    SCHEDULE_NAMES,
    SETTING_LABELS,
    WEEKDAYS,
    notification_audiences,
    parse_settings_form,
    resource_label,
)
from koppel.organisations.views import confirmations

NAV_SECTION = "templates"


@takes()
def list_templates(request: AuthenticatedRequest) -> HttpResponse:
    """Show templates with the number of administrations of each."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    if request.method == "POST":
        return _create(request)
    rows = [(line, describe_settings(line.settings)) for line in settings_templates.list_summaries(request.actor)]
    context = {"nav_section": NAV_SECTION, "rows": rows, "no_settings": {}, **_choices(request.actor, {})}
    return render(request, "organisations/templates.html", context)


def detail(request: AuthenticatedRequest, template_id: int) -> HttpResponse:
    """Show and change settings. When administrations have the template, the effect is shown first."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    template = _or_404(request.actor, template_id)
    context: dict[str, Any] = {"current": template.settings, "name": template.name, "archived": template.archived_at}
    if request.method == "POST":
        try:
            return _change(request, template, context)
        except Refused as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(request.path)
    return _editor(request, template, context)


@require_POST
def merge(request: AuthenticatedRequest, template_id: int) -> HttpResponse:
    """Give its administrations another template."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    into = request.POST.get("into", "")
    try:
        key = id_of(into) or 0
        leaving, staying = settings_templates.check_merge(request.actor, template_id, key)
        line = next(line for line in settings_templates.list_summaries(request.actor) if line.id == leaving.pk)
        facts, cancel_url = (leaving.pk, line.administrations), reverse("organisations:template", args=[leaving.pk])
        question = confirmations.merge("template", (leaving.name, staying.name), facts, key, cancel_url)
        if page := unconfirmed(request, question):
            return page
        moved_count = settings_templates.merge(request.actor, template_id, key)
    except Refused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse("organisations:template", args=[template_id]))
    text = ngettext("%(count)d administration has moved.", "%(count)d administrations have moved.", moved_count)
    messages.success(request, text % {"count": moved_count})
    return HttpResponseRedirect(reverse("organisations:template", args=[int(into)]))


def describe_settings(settings: SettingsMap) -> list[tuple[str, str]]:
    """Return (setting, value) of what a template sets."""
    values: Mapping[str, object] = settings
    return [(str(label), describe_value(key, values[key])) for key, label in SETTING_LABELS.items() if key in values]


def describe_value(key: str, value: Any) -> str:
    if key == "resources":
        if set(value) >= set(RESOURCES):
            return _("everything")
        return ", ".join(resource_label(key) for key in RESOURCES if key in value) or _("nothing")
    if key == "schedule":
        return str(SCHEDULE_NAMES.get(value, value))
    if key == "full_comparison_weekday":
        return str(WEEKDAYS[value])
    if key == "notify":
        audiences = [
            f"{audience_events().get(event, event)}: {AUDIENCE_LABELS.get(audience, audience)}"
            for event, audience in value.items()
        ]
        return "; ".join(audiences) or str(AUDIENCE_LABELS[AUDIENCE_DEFAULT])
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _create(request: AuthenticatedRequest) -> HttpResponse:
    try:
        created = settings_templates.create(
            request.actor, request.POST.get("name", ""), parse_settings_form(request.POST)
        )
    except Refused as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(request.path)
    messages.success(request, _("Saved."))
    return HttpResponseRedirect(reverse("organisations:template", args=[created.pk]))


def _change(request: AuthenticatedRequest, template: Template, context: dict[str, Any]) -> HttpResponse:
    """Store a change that is confirmed or has no effect; else show the effect and a second button."""
    form = request.POST
    settings, archived = parse_settings_form(form), form.get("archived") == "1"
    effects = settings_templates.preview(request.actor, template.pk, settings)
    if effects.changed and form.get("confirmed") != str(effects.changed):
        context |= {"current": settings, "name": form.get("name", ""), "archived": archived}
        return _editor(request, template, context | _impact_context(effects))
    settings_templates.change_template(
        request.actor, template.pk, name=form.get("name", ""), settings=settings, archived=archived
    )
    messages.success(request, _("Saved."))
    return HttpResponseRedirect(request.path)


def _impact_context(effects: SettingsImpact) -> dict[str, Any]:
    lines: Sequence[tuple[str, str, str, int]] = [
        (
            str(SETTING_LABELS[change.key]),
            describe_value(change.key, change.before),
            describe_value(change.key, change.after),
            change.count,
        )
        for change in effects.differences
    ]
    return {"effects": effects, "effect_lines": lines}


def _editor(request: AuthenticatedRequest, template: Template, context: Mapping[str, Any]) -> HttpResponse:
    summaries = settings_templates.list_summaries(request.actor)
    line = next(summary for summary in summaries if summary.id == template.pk)
    other_templates = [summary for summary in summaries if not summary.is_archived and summary.id != template.pk]
    choices = _choices(request.actor, context["current"])
    page_context = {
        "nav_section": NAV_SECTION,
        "template": template,
        "line": line,
        "others": other_templates,
        **choices,
    }
    return render(request, "organisations/template.html", {**page_context, **context})


def _choices(actor: Actor, current: SettingsMap) -> dict[str, Any]:
    """Return the choices of the form, and the values in force where it sets nothing."""
    inherited = settings_templates.inherited_settings(actor)
    return {
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": list(enumerate(WEEKDAYS)),
        "beneath": {key: _inherited_value(key, inherited) for key in SETTING_LABELS},
        "cap": set(RESOURCES) - set(inherited.get("resources", RESOURCES)),
        "schedule_is_off": inherited.get("schedule") == "off",
        "audiences": list(AUDIENCE_LABELS.items()),
        "notify": _notify(current, inherited),
    }


def _notify(current: SettingsMap, inherited: SettingsMap) -> list[tuple[str, str, str, str]]:
    """Return (event, its name, the template's value, the inherited value) of each event."""
    template_audiences, inherited_settings = notification_audiences(current), notification_audiences(inherited)
    return [
        (key, str(label), template_audiences.get(key, ""), _inherited_audience(inherited_settings.get(key)))
        for key, label in audience_events().items()
    ]


def _inherited_audience(audience: str | None) -> str:
    source = _("from the organisation") if audience else _("Koppel's default")
    return f"{AUDIENCE_LABELS[audience or AUDIENCE_DEFAULT]} ({source})"


def _inherited_value(key: str, inherited: Mapping[str, Any]) -> str:
    """Return the value in force where a template does not set this, and its origin."""
    value = describe_value(key, inherited.get(key, DEFAULTS[key]))
    source = _("from the organisation") if key in inherited else _("Koppel's default")
    return f"{value} ({source})"


def _or_404(actor: Actor, template_id: int) -> Template:
    try:
        return settings_templates.get_template(actor, template_id)
    except Refused:
        raise Http404 from None
