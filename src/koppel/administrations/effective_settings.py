"""Settings in force: the administration's own value, else its template's, else the organisation's, else Koppel's default.

What the organisation switched off cannot be switched on below it: a resource that it does not read, or syncing by schedule.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from koppel.administrations.models import Administration
from koppel.organisations.settings_schema import (
    AUDIENCE_DEFAULT,
    DEFAULTS,
    RESOURCES,
    SCHEDULES,
    events,
    problems_with,
    told_of,
)

__all__ = [
    "DEFAULTS",
    "RESOURCES",
    "SCHEDULES",
    "InForce",
    "Setting",
    "Source",
    "in_force",
    "problems_with",
    "settings_in_force",
]

OFF = "off"
NOBODY = "nobody"


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
    """The settings of one administration, each with its source in `sources`.

    `capped`: settings of which the organisation switched something off that would otherwise be on."""

    resources: tuple[str, ...]
    fiscal_years_back: int
    schedule: str
    full_comparison_weekday: int
    notify: Mapping[str, str]
    sources: Mapping[str, Source]
    capped: frozenset[str] = frozenset()
    told_by: Mapping[str, Source] = field(default_factory=dict)
    """Of each event of `notify`, who says it: these are set one by one."""
    silenced: frozenset[str] = frozenset()
    """Events that the organisation tells nobody of, whatever is set below it."""


COMPARED = ("resources", "fiscal_years_back", "schedule", "full_comparison_weekday", "notify")
"""What makes two administrations be treated differently."""


def in_force(administration: Administration) -> InForce:
    """Needs `template` and `organisation` of the administration (select_related them for many)."""
    template = administration.template.settings if administration.template else {}
    return settings_in_force(administration.settings, template, administration.organisation.settings)


def settings_in_force(own: Mapping[str, Any], template: Mapping[str, Any], organisation: Mapping[str, Any]) -> InForce:
    """Nearest first; then what the organisation switched off is off: resources that it does not read, and syncing itself."""
    found = {key: _setting(key, own, template, organisation) for key in DEFAULTS}
    allowed = organisation.get("resources", RESOURCES)
    resources = tuple(key for key in found["resources"].value if key in RESOURCES)
    schedule = OFF if organisation.get("schedule") == OFF else str(found["schedule"].value)
    told = _told(own, template, organisation)
    silenced = {event for event, audience in told_of(organisation).items() if audience == NOBODY and event in told}
    capped = {"resources"} if set(resources) - set(allowed) else set()
    return InForce(
        resources=tuple(key for key in resources if key in allowed),
        fiscal_years_back=int(found["fiscal_years_back"].value),
        schedule=schedule,
        full_comparison_weekday=int(found["full_comparison_weekday"].value),
        notify={event: NOBODY if event in silenced else setting.value for event, setting in told.items()},
        sources={key: setting.source for key, setting in found.items()},
        capped=frozenset(capped | ({"schedule"} if schedule != found["schedule"].value else set())),
        told_by={event: setting.source for event, setting in told.items()},
        silenced=frozenset(event for event in silenced if told[event].value != NOBODY),
    )


def _told(
    own: Mapping[str, Any], template: Mapping[str, Any], organisation: Mapping[str, Any]
) -> Mapping[str, Setting]:
    """Of each event who is told; nearest first, event by event."""
    nearest_first = [
        (Source.HERE, told_of(own)),
        (Source.TEMPLATE, told_of(template)),
        (Source.ORGANISATION, told_of(organisation)),
        (Source.DEFAULT, dict.fromkeys(events(), AUDIENCE_DEFAULT)),
    ]
    return {
        event: next(Setting(event, told[event], source) for source, told in nearest_first if event in told)
        for event in events()
    }


def _setting(key: str, own: Mapping[str, Any], template: Mapping[str, Any], organisation: Mapping[str, Any]) -> Setting:
    for source, values in ((Source.HERE, own), (Source.TEMPLATE, template), (Source.ORGANISATION, organisation)):
        if key in values:
            return Setting(key, values[key], source)
    return Setting(key, DEFAULTS[key], Source.DEFAULT)
