"""Pages of templates: the list, and the editor, which shows the effect of a change first."""

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from koppel.kit.web.confirmation import unconfirmed
from koppel.kit.web.decorators import action_of, query_parameters
from koppel.organisations.forms.groups import MergeForm
from koppel.organisations.forms.settings_values import TemplateForm
from koppel.organisations.groups import settings_templates
from koppel.organisations.groups.hooks import SettingsImpact
from koppel.organisations.groups.named_group import summary_of
from koppel.organisations.models import SettingsMap, Template
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import SETTING_LABELS
from koppel.organisations.views import confirmations
from koppel.organisations.views.settings_fields import describe_settings, describe_value, fields_context

NAV_SECTION = "templates"


@query_parameters()
def list_templates(request: AuthenticatedRequest) -> HttpResponse:
    """Show the templates with the number of administrations of each; creating one leads to its page."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    form = TemplateForm.of(request)
    if request.method == "POST":
        with form.refusals():
            created = settings_templates.create_template(request.actor, form.input)
            messages.success(request, _("Saved."))
            return _redirect_to(created.pk)
    rows = [
        (line, describe_settings(line.settings)) for line in settings_templates.list_summaries(request.actor)
    ]
    context = {
        "nav_section": NAV_SECTION,
        "rows": rows,
        **_form_context(request.actor, form, form.typed_settings),
    }
    return render(request, "organisations/templates.html", context)


def show_template(request: AuthenticatedRequest, template_id: int) -> HttpResponse:
    """Show a template's settings. Saving a template in use first shows its effect on administrations."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    template = settings_templates.get_template(request.actor, template_id)
    form = TemplateForm.of(request)
    if request.method == "POST":
        with form.refusals():
            return _change(request, template, form)
    return _editor(request, template, form)


@action_of("organisations:template", "template_id")
def merge_template(request: AuthenticatedRequest, template_id: int) -> HttpResponse:
    """Move the administrations of a template to another one."""
    request.actor.require(Permission.MANAGE_PEOPLE)
    into = MergeForm.of(request).input_or_refusal().into
    leaving, staying = settings_templates.require_mergeable(request.actor, template_id, into)
    line = settings_templates.get_summary(request.actor, leaving.pk)
    facts, cancel_url = (
        (leaving.pk, line.administrations),
        reverse("organisations:template", args=[leaving.pk]),
    )
    question = confirmations.confirm_merge("template", (leaving.name, staying.name), facts, into, cancel_url)
    if page := unconfirmed(request, question):
        return page
    moved_count = settings_templates.merge(request.actor, template_id, into)
    text = ngettext("%(count)d administration moved.", "%(count)d administrations moved.", moved_count)
    messages.success(request, text % {"count": moved_count})
    return _redirect_to(into)


def _change(request: AuthenticatedRequest, template: Template, form: TemplateForm) -> HttpResponse:
    """Store what was confirmed, or has no effect; else show the same form with what it would do and a second
    button.
    """
    effects = settings_templates.preview(request.actor, template.pk, form.input.settings)
    if effects.changed and form.values["confirmed"] != str(effects.changed):
        return _editor(request, template, form, _impact_context(effects))
    settings_templates.change_template(request.actor, template.pk, form.input)
    messages.success(request, _("Saved."))
    return _redirect_to(template.pk)


def _impact_context(effects: SettingsImpact) -> dict[str, Any]:
    lines = [
        (
            str(SETTING_LABELS[change.key]),
            describe_value(change.key, change.before),
            describe_value(change.key, change.after),
            change.count,
        )
        for change in effects.differences
    ]
    return {"effects": effects, "effect_lines": lines}


def _editor(
    request: AuthenticatedRequest,
    template: Template,
    form: TemplateForm,
    impact: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Return the page of a template, with the typed values if there are any."""
    summaries = settings_templates.list_summaries(request.actor)
    context = {
        "nav_section": NAV_SECTION,
        "template": template,
        "line": summary_of(summaries, template.pk),
        "others": [summary for summary in summaries if not summary.is_archived and summary.id != template.pk],
        "name": form["name"].value() if form.is_bound else template.name,
        "archived": form["archived"].value() if form.is_bound else template.archived_at,
        **_form_context(request.actor, form, form.typed_settings if form.is_bound else template.settings),
        **(impact or {}),
    }
    return render(request, "organisations/template.html", context)


def _form_context(actor: Actor, form: TemplateForm, current: SettingsMap) -> dict[str, Any]:
    return fields_context(form, current, settings_templates.inherited_settings(actor))


def _redirect_to(template_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("organisations:template", args=[template_id]))
