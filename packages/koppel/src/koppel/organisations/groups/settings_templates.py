"""Use cases of templates: make, change after seeing what it does, archive, merge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.groups import hooks
from koppel.organisations.groups.hooks import GroupKind, SettingsImpact
from koppel.organisations.models import Organisation, Template
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.services import save_template
from koppel.organisations.settings_schema import validate_settings


@dataclass(frozen=True)
class TemplateSummary:
    id: int
    name: str
    is_archived: bool
    settings: Mapping[str, Any]
    administrations: int


def list_summaries(actor: Actor) -> list[TemplateSummary]:
    """Those in use first, by name."""
    templates = Template.objects.filter(organisation_id=actor.organisation_id)
    counts = hooks.count_usage(actor.organisation_id, GroupKind.TEMPLATE)
    return sorted(
        (
            TemplateSummary(
                template.pk,
                template.name,
                template.archived_at is not None,
                template.settings,
                counts.get(template.pk, 0),
            )
            for template in templates
        ),
        key=lambda summary: (summary.is_archived, summary.name.casefold()),
    )


def get_template(actor: Actor, template_id: int) -> Template:
    """Raises `Refused`: not there and of another firm look alike."""
    template = Template.objects.filter(organisation_id=actor.organisation_id, pk=template_id).first()
    if template is None:
        raise Refused(_("There is no such template."))
    return template


def create(actor: Actor, name: str, settings: Mapping[str, Any]) -> Template:
    """Raises `Refused`."""
    return get_template(actor, save_template(actor, None, name, settings))


def preview(actor: Actor, template_id: int, settings: Mapping[str, Any]) -> SettingsImpact:
    """What these settings would do, to how many. Raises `Refused`."""
    actor.require(Permission.MANAGE_PEOPLE)
    validate_settings(settings)
    return hooks.settings_impact(actor.organisation_id, get_template(actor, template_id).pk, settings)


def change(actor: Actor, template_id: int, *, name: str, settings: Mapping[str, Any], archived: bool) -> None:
    """Raises `Refused`. The trail keeps what was and what is."""
    before = dict(get_template(actor, template_id).settings)
    save_template(actor, template_id, name, settings, archived=archived)
    if before != dict(settings):
        after = get_template(actor, template_id)
        details = {"before": before, "after": dict(settings)}
        record(
            actor.organisation_id, actor.audit, "template.settings_changed",
            subject=("template", after.pk, after.name), details=details,
        )  # fmt: skip


def check_merge(actor: Actor, from_id: int, into_id: int) -> tuple[Template, Template]:
    """The one that is emptied and the one that stays. Raises `Refused` when they cannot be merged."""
    actor.require(Permission.MANAGE_PEOPLE)
    source, target = get_template(actor, from_id), get_template(actor, into_id)
    if source.pk == target.pk:
        raise Refused(_("A template cannot be merged with itself."))
    if target.archived_at:
        raise Refused(_("“%s” is archived.") % target.name)
    return source, target


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Its administrations get the other template; it stays behind, archived. How many moved. Raises `Refused`."""
    source, target = check_merge(actor, from_id, into_id)
    moved = sum(hooks.move_usage(actor, GroupKind.TEMPLATE, source.pk, target.pk))
    Template.objects.filter(organisation_id=actor.organisation_id, pk=source.pk).update(archived_at=timezone.now())
    details = {"into": target.pk, "into_name": target.name, "administrations": moved}
    subject = ("template", source.pk, source.name)
    record(actor.organisation_id, actor.audit, "template.merged", subject=subject, details=details)
    return moved


def inherited_settings(actor: Actor) -> Mapping[str, Any]:
    """The organisation's settings, which hold where a template sets none."""
    settings = Organisation.objects.filter(pk=actor.organisation_id).values_list("settings", flat=True).first()
    return dict(settings or {})
