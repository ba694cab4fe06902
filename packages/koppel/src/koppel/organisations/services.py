"""Use cases of the firm: divisions, templates, the organisation itself. People have `people.py`."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.models import Division, Organisation, Template, User
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import validate_settings


def save_language(user_id: int, language: str) -> None:
    User.objects.filter(pk=user_id).update(language=language)


def save_division(actor: Actor, division_id: int | None, name: str, *, archived: bool = False) -> int:
    """Make, rename or archive a division; its id. Raises `Refused`."""
    actor.require(Permission.MANAGE_PEOPLE)
    return _save_named(actor, Division, division_id, name, archived, {})


def save_template(
    actor: Actor, template_id: int | None, name: str, settings: Mapping[str, Any], *, archived: bool = False
) -> int:
    """Make, change or archive a template; its id. Raises `Refused`."""
    actor.require(Permission.MANAGE_PEOPLE)
    validate_settings(settings)
    return _save_named(actor, Template, template_id, name, archived, {"settings": dict(settings)})


def change_organisation(actor: Actor, *, name: str, settings: Mapping[str, Any]) -> None:
    """Its name, and the settings beneath every template. Raises `Refused`."""
    actor.require(Permission.MANAGE_ORGANISATION)
    validate_settings(settings)
    name = _clean(name)[:200]
    if not name:
        raise Refused(_("A name is needed."))
    organisation = Organisation.objects.select_for_update().get(pk=actor.organisation_id)
    before = {"name": organisation.name, "settings": organisation.settings}
    after = {"name": name, "settings": dict(settings)}
    organisation.name, organisation.settings = name, dict(settings)
    organisation.save(update_fields=["name", "settings"])
    details = {"before": before, "after": after}
    _record(actor, "organisation.changed", "organisation", actor.organisation_id, name, details)


def _clean(text: str) -> str:
    """Without the one character that PostgreSQL cannot store."""
    return text.replace("\0", "").strip()


def _save_named(
    actor: Actor,
    model: type[Division] | type[Template],
    key: int | None,
    name: str,
    archived: bool,
    values: dict[str, Any],
) -> int:
    name = _clean(name)[:120]
    queryset = model._default_manager.filter(organisation_id=actor.organisation_id)
    if not name:
        raise Refused(_("A name is needed."))
    if queryset.filter(name__iexact=name).exclude(pk=key or 0).exists():
        raise Refused(_("“%s” exists already.") % name)
    values = {**values, "name": name, "archived_at": timezone.now() if archived else None}
    kind = model.__name__.lower()
    try:
        with transaction.atomic():
            if key is None:
                created = model._default_manager.create(organisation_id=actor.organisation_id, **values)
                _record(actor, f"{kind}.made", kind, created.pk, name, {})
                return int(created.pk)
            queryset.filter(pk=key).update(**values)
    except IntegrityError:  # a colleague, or a second click, was a moment earlier
        raise Refused(_("“%s” exists already.") % name) from None
    _record(actor, f"{kind}.changed", kind, key, name, {"archived": archived})
    return key


def _record(actor: Actor, action: str, kind: str, key: int, name: str, details: dict[str, Any]) -> None:
    record(actor.organisation_id, actor.audit, action, subject=(kind, key, name), details=details)
