"""Settings in force: the administration's own value, else its template's, else the organisation's, else Koppel's default.

A resource that the organisation switched off cannot be switched on below it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from koppel.administrations.models import Administration
from koppel.organisations.bundles import RESOURCES, SCHEDULES, problems_with

__all__ = ["DEFAULTS", "RESOURCES", "SCHEDULES", "InForce", "Setting", "Source", "in_force", "problems_with"]

DEFAULTS: dict[str, Any] = {
    "resources": list(RESOURCES),
    "fiscal_years_back": 1,
    "schedule": "daily",
    "full_comparison_weekday": 6,
    "notify": ["import_finished", "sync_failed"],
}
"""`full_comparison_weekday` counts from Monday = 0. `fiscal_years_back` years before the current one."""


class Source(StrEnum):
    """Where a value comes from, nearest first."""

    HERE = "here"
    TEMPLATE = "template"
    ORGANISATION = "organisation"
    DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    key: str
    value: Any
    source: Source


@dataclass(frozen=True)
class InForce:
    """The settings of one administration, each with its source in `sources`."""

    resources: tuple[str, ...]
    fiscal_years_back: int
    schedule: str
    full_comparison_weekday: int
    notify: tuple[str, ...]
    sources: Mapping[str, Source]


def in_force(administration: Administration) -> InForce:
    """Needs `template` and `organisation` of the administration (select_related them for many)."""
    found = {key: _setting(administration, key) for key in DEFAULTS}
    allowed = administration.organisation.settings.get("resources", RESOURCES)
    return InForce(
        resources=tuple(key for key in found["resources"].value if key in allowed and key in RESOURCES),
        fiscal_years_back=int(found["fiscal_years_back"].value),
        schedule=str(found["schedule"].value),
        full_comparison_weekday=int(found["full_comparison_weekday"].value),
        notify=tuple(found["notify"].value),
        sources={key: setting.source for key, setting in found.items()},
    )


def _setting(administration: Administration, key: str) -> Setting:
    template = administration.template.settings if administration.template else {}
    places = (
        (Source.HERE, administration.settings),
        (Source.TEMPLATE, template),
        (Source.ORGANISATION, administration.organisation.settings),
    )
    for source, values in places:
        if key in values:
            return Setting(key, values[key], source)
    return Setting(key, DEFAULTS[key], Source.DEFAULT)
