"""Use cases of templates: create, change after a preview of the effect, archive, merge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy

from koppel.organisations.audit_actions import TemplateAction
from koppel.organisations.groups import hooks
from koppel.organisations.groups.hooks import GroupKind, SettingsImpact
from koppel.organisations.groups.inputs import TemplateInput
from koppel.organisations.groups.named_group import GroupType, sort_archived_last, summary_of
from koppel.organisations.models import Organisation, SettingsMap, Template
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import validate_settings

TEMPLATE = GroupType(
    kind=GroupKind.TEMPLATE,
    model=Template,
    actions=TemplateAction,
    missing=gettext_lazy("Template not found."),
    merged_with_itself=gettext_lazy("A template cannot be merged with itself."),
)
get_template = TEMPLATE.get
require_mergeable = TEMPLATE.require_mergeable


@dataclass(frozen=True, kw_only=True)
class TemplateSummary:
    """A template with its settings and the number of its administrations."""

    id: int
    name: str
    is_archived: bool
    settings: SettingsMap
    administrations: int


def list_summaries(actor: Actor) -> list[TemplateSummary]:
    """Return templates, those in use first, by name."""
    templates = Template.objects.for_actor(actor)
    administrations = hooks.count_usage(actor.organisation_id, GroupKind.TEMPLATE)
    return sort_archived_last(
        TemplateSummary(
            id=template.pk,
            name=template.name,
            is_archived=template.archived_at is not None,
            settings=template.settings,
            administrations=administrations.get(template.pk, 0),
        )
        for template in templates
    )


def get_summary(actor: Actor, template_id: int) -> TemplateSummary:
    """Return a template as the list shows it. Raises `NoSuchGroup`."""
    return summary_of(list_summaries(actor), get_template(actor, template_id).pk)


def create_template(actor: Actor, template: TemplateInput) -> Template:
    """Create a template. Raises `Refused` when the name is taken or empty, or a setting cannot be stored."""
    return get_template(actor, _save(actor, None, template))


def preview(actor: Actor, template_id: int, settings: Mapping[str, Any]) -> SettingsImpact:
    """Return the effect of these settings, and the number of administrations. Raises `Refused`."""
    actor.require(Permission.MANAGE_PEOPLE)
    stored = validate_settings(settings)
    return hooks.settings_impact(actor.organisation_id, get_template(actor, template_id).pk, stored)


def change_template(actor: Actor, template_id: int, template: TemplateInput) -> None:
    """Change a template; the audit log has the values before and after. Raises `Refused`."""
    before = get_template(actor, template_id).settings
    _save(actor, template_id, template)
    if before != template.settings:
        changed = get_template(actor, template_id)
        details = {"before": before, "after": template.settings}
        TEMPLATE.add_audit_entry(actor, TemplateAction.SETTINGS_CHANGED, (changed.pk, changed.name), details)


def _save(actor: Actor, template_id: int | None, template: TemplateInput) -> int:
    actor.require(Permission.MANAGE_PEOPLE)
    values = {"settings": validate_settings(template.settings)}
    return TEMPLATE.save(actor, template_id, template.name, archived=template.archived, values=values)


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Move the administrations of a template to another one, and archive the first. Return their number.
    Raises `Refused`.
    """
    source, target = require_mergeable(actor, from_id, into_id)
    moved_count = sum(hooks.move_usage(actor, GroupKind.TEMPLATE, source.pk, target.pk))
    TEMPLATE.archive_merged(actor, source, target, {"administrations": moved_count})
    return moved_count


def inherited_settings(actor: Actor) -> SettingsMap:
    """Return the organisation's settings, in force where a template sets none."""
    settings = (
        Organisation.objects.filter(pk=actor.organisation_id).values_list("settings", flat=True).first()
    )
    return settings or SettingsMap()
