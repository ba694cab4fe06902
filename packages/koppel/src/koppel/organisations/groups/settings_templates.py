"""Use cases of templates: create, change after a preview of the effect, archive, merge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy

from koppel.organisations.audit_actions import TemplateAction
from koppel.organisations.groups import hooks
from koppel.organisations.groups.hooks import GroupKind, SettingsImpact
from koppel.organisations.groups.named_group import GroupType, in_use_first
from koppel.organisations.models import Organisation, SettingsMap, Template
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import validate_settings

TEMPLATE = GroupType(
    GroupKind.TEMPLATE,
    Template,
    TemplateAction,
    missing=gettext_lazy("There is no such template."),
    merged_with_itself=gettext_lazy("A template cannot be merged with itself."),
)
get_template = TEMPLATE.get
check_merge = TEMPLATE.check_merge


@dataclass(frozen=True)
class TemplateSummary:
    """A template with its settings and the number of its administrations."""

    id: int
    name: str
    is_archived: bool
    settings: SettingsMap
    administrations: int


def list_summaries(actor: Actor) -> list[TemplateSummary]:
    """Return templates, those in use first, by name."""
    templates = Template.objects.filter(organisation_id=actor.organisation_id)
    administrations = hooks.count_usage(actor.organisation_id, GroupKind.TEMPLATE)
    return in_use_first(
        TemplateSummary(
            template.pk,
            template.name,
            template.archived_at is not None,
            template.settings,
            administrations.get(template.pk, 0),
        )
        for template in templates
    )


def save_template(
    actor: Actor, template_id: int | None, name: str, settings: Mapping[str, Any], *, archived: bool = False
) -> int:
    """Create, change or archive a template; return its id. Raises `Refused`."""
    actor.require(Permission.MANAGE_PEOPLE)
    values = {"settings": validate_settings(settings)}
    return TEMPLATE.save(actor, template_id, name, archived=archived, values=values)


def create(actor: Actor, name: str, settings: Mapping[str, Any]) -> Template:
    """Raises `Refused`."""
    return get_template(actor, save_template(actor, None, name, settings))


def preview(actor: Actor, template_id: int, settings: Mapping[str, Any]) -> SettingsImpact:
    """Return the effect of these settings, and the number of administrations. Raises `Refused`."""
    actor.require(Permission.MANAGE_PEOPLE)
    stored = validate_settings(settings)
    return hooks.settings_impact(actor.organisation_id, get_template(actor, template_id).pk, stored)


def change_template(actor: Actor, template_id: int, *, name: str, settings: Mapping[str, Any], archived: bool) -> None:
    """Change a template; the audit log has the values before and after. Raises `Refused`."""
    before = dict(get_template(actor, template_id).settings)
    save_template(actor, template_id, name, settings, archived=archived)
    if before != dict(settings):
        template = get_template(actor, template_id)
        details = {"before": before, "after": dict(settings)}
        TEMPLATE.record(actor, TemplateAction.SETTINGS_CHANGED, (template.pk, template.name), details)


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Give its administrations another template, and archive this one. Return their number. Raises `Refused`."""
    source, target = check_merge(actor, from_id, into_id)
    moved_count = sum(hooks.move_usage(actor, GroupKind.TEMPLATE, source.pk, target.pk))
    TEMPLATE.archive_merged(actor, source, target, {"administrations": moved_count})
    return moved_count


def inherited_settings(actor: Actor) -> SettingsMap:
    """Return the organisation's settings, in force where a template sets none."""
    settings = Organisation.objects.filter(pk=actor.organisation_id).values_list("settings", flat=True).first()
    return settings or SettingsMap()
