"""Use cases of templates: make, change after seeing what it does, archive, merge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.groups import hooks as dependants
from koppel.organisations.groups.hooks import Effects, Group
from koppel.organisations.models import Organisation, Template
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.services import save_template
from koppel.organisations.settings_schema import refuse_problems


@dataclass(frozen=True)
class TemplateLine:
    id: int
    name: str
    is_archived: bool
    settings: Mapping[str, Any]
    administrations: int


def lines(actor: Actor) -> list[TemplateLine]:
    """Those in use first, by name."""
    found = Template.objects.filter(organisation_id=actor.organisation_id)
    counts = dependants.counts(actor.organisation_id, Group.TEMPLATE)
    return sorted(
        (
            TemplateLine(one.pk, one.name, one.archived_at is not None, one.settings, counts.get(one.pk, 0))
            for one in found
        ),
        key=lambda line: (line.is_archived, line.name.casefold()),
    )


def template_named(actor: Actor, template_id: int) -> Template:
    """Raises `Refused`: not there and of another firm look alike."""
    found = Template.objects.filter(organisation_id=actor.organisation_id, pk=template_id).first()
    if found is None:
        raise Refused(_("There is no such template."))
    return found


def make(actor: Actor, name: str, settings: Mapping[str, Any]) -> Template:
    """Raises `Refused`."""
    return template_named(actor, save_template(actor, None, name, settings))


def preview(actor: Actor, template_id: int, settings: Mapping[str, Any]) -> Effects:
    """What these settings would do, to how many. Raises `Refused`."""
    actor.require(Permission.PEOPLE)
    refuse_problems(settings)
    return dependants.effects(actor.organisation_id, template_named(actor, template_id).pk, settings)


def change(actor: Actor, template_id: int, *, name: str, settings: Mapping[str, Any], archived: bool) -> None:
    """Raises `Refused`. The trail keeps what was and what is."""
    before = dict(template_named(actor, template_id).settings)
    save_template(actor, template_id, name, settings, archived=archived)
    if before != dict(settings):
        after = template_named(actor, template_id)
        details = {"before": before, "after": dict(settings)}
        record(
            actor.organisation_id, actor.audit, "template.settings_changed",
            subject=("template", after.pk, after.name), details=details,
        )  # fmt: skip


def check_merge(actor: Actor, from_id: int, into_id: int) -> tuple[Template, Template]:
    """The one that is emptied and the one that stays. Raises `Refused` when they cannot be merged."""
    actor.require(Permission.PEOPLE)
    leaving, staying = template_named(actor, from_id), template_named(actor, into_id)
    if leaving.pk == staying.pk:
        raise Refused(_("A template cannot be merged with itself."))
    if staying.archived_at:
        raise Refused(_("“%s” is archived.") % staying.name)
    return leaving, staying


def merge(actor: Actor, from_id: int, into_id: int) -> int:
    """Its administrations get the other template; it stays behind, archived. How many moved. Raises `Refused`."""
    leaving, staying = check_merge(actor, from_id, into_id)
    moved = dependants.move(actor, Group.TEMPLATE, leaving.pk, staying.pk)
    Template.objects.filter(organisation_id=actor.organisation_id, pk=leaving.pk).update(archived_at=timezone.now())
    details = {"into": staying.pk, "into_name": staying.name, "administrations": moved}
    subject = ("template", leaving.pk, leaving.name)
    record(actor.organisation_id, actor.audit, "template.merged", subject=subject, details=details)
    return moved


def beneath(actor: Actor) -> Mapping[str, Any]:
    """The organisation's settings, which hold where a template sets none."""
    settings = Organisation.objects.filter(pk=actor.organisation_id).values_list("settings", flat=True).first()
    return dict(settings or {})
