"""Administrations as the firm's divisions and templates see them: counted, moved, and asked what other settings would do."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.db.models import Count

from koppel.administrations.effective_settings import COMPARED, settings_in_force
from koppel.administrations.models import Administration
from koppel.organisations.groups.hooks import Difference, Effects, Group
from koppel.organisations.roles import Actor


class Administrations:
    """Fulfils `organisations.dependants.Dependants`. A restricted administration moves along and is never counted: to those
    who are not named on it no number may tell that it exists."""

    def counts(self, organisation_id: int, group: Group) -> Mapping[int, int]:
        column = f"{group.value}_id"
        own = Administration.objects.filter(organisation_id=organisation_id, withdrawn_at=None, restricted=False)
        counted = own.exclude(**{column: None}).values_list(column).annotate(n=Count("pk")).order_by()
        return dict(counted)

    def move(self, actor: Actor, group: Group, from_id: int, into_id: int) -> int:
        column = f"{group.value}_id"
        own = Administration.objects.filter(organisation_id=actor.organisation_id, **{column: from_id})
        shown = own.filter(restricted=False).count()
        own.update(**{column: into_id})
        return shown

    def effects(self, organisation_id: int, template_id: int, settings: Mapping[str, Any]) -> Effects:
        """What an administration sets itself is not touched by its template, so the same own settings share an answer."""
        found = Administration.objects.filter(
            organisation_id=organisation_id, template_id=template_id, withdrawn_at=None, restricted=False
        )
        changes: Counter[tuple[str, str]] = Counter()
        values: dict[tuple[str, str], tuple[Any, Any]] = {}
        changed = total = 0
        for one in found.select_related("template", "organisation").iterator(chunk_size=2000):
            total += 1
            before = settings_in_force(
                one.settings, one.template.settings if one.template else {}, one.organisation.settings
            )
            after = settings_in_force(one.settings, settings, one.organisation.settings)
            different = [key for key in COMPARED if getattr(before, key) != getattr(after, key)]
            changed += bool(different)
            for key in different:
                pair = (getattr(before, key), getattr(after, key))
                changes[key, repr(pair)] += 1
                values[key, repr(pair)] = pair
        differences = [Difference(key, *values[key, pair], count) for (key, pair), count in changes.most_common()]
        return Effects(total, changed, differences)
