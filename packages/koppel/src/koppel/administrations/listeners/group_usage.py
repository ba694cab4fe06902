"""Usage of divisions and templates by administrations: counts, moves, and effects of other settings."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import Count

from koppel.administrations.effective_settings import COMPARED_KEYS, resolve_settings
from koppel.administrations.models import Administration
from koppel.organisations.groups.hooks import GroupKind, SettingChange, SettingsImpact
from koppel.organisations.models import SettingsMap
from koppel.organisations.roles import Actor


def count_administrations(organisation_id: int, group: GroupKind) -> Mapping[int, int]:
    """Count the administrations without restricted ones, whose existence a number must not reveal."""
    column = f"{group.value}_id"
    administrations = Administration.objects.in_organisation(organisation_id).filter(
        withdrawn_at=None, restricted=False
    )
    counted = administrations.exclude(**{column: None}).values_list(column).annotate(n=Count("pk")).order_by()
    return dict(counted)


def move_administrations(actor: Actor, group: GroupKind, from_id: int, into_id: int) -> int:
    """Move the administrations, and return their number; restricted ones move too and are not counted."""
    column = f"{group.value}_id"
    administrations = Administration.objects.for_actor(actor).filter(**{column: from_id})
    moved_count = administrations.filter(restricted=False).count()
    administrations.update(**{column: into_id})
    return moved_count


def settings_impact(organisation_id: int, template_id: int, settings: SettingsMap) -> SettingsImpact:
    """Compute the effects of other settings of a template on its administrations."""
    administrations = Administration.objects.in_organisation(organisation_id).filter(
        template_id=template_id, withdrawn_at=None, restricted=False
    )
    changes: Counter[tuple[str, str]] = Counter()
    values: dict[tuple[str, str], tuple[Any, Any]] = {}
    changed = total = 0
    for administration in administrations.select_related("template", "organisation").iterator(
        chunk_size=2000
    ):
        total += 1
        before = resolve_settings(
            administration.settings,
            administration.template.settings if administration.template else {},
            administration.organisation.settings,
        )
        after = resolve_settings(administration.settings, settings, administration.organisation.settings)
        different = [key for key in COMPARED_KEYS if getattr(before, key) != getattr(after, key)]
        changed += bool(different)
        for key in different:
            pair = (getattr(before, key), getattr(after, key))
            changes[key, repr(pair)] += 1
            values[key, repr(pair)] = pair
    differences = []
    for (key, text_of_pair), count in changes.most_common():
        value_before, value_after = values[key, text_of_pair]
        differences.append(SettingChange(key=key, before=value_before, after=value_after, count=count))
    return SettingsImpact(total=total, changed=changed, differences=differences)
