"""Settings in force: the administration's own value, else its template's, else the organisation's, else
Koppel's default.

A resource or the schedule that the organisation switched off cannot be switched on by a template or an
administration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from koppel.administrations.models import Administration
from koppel.organisations.hooks import audience_events
from koppel.organisations.models import SettingsMap
from koppel.organisations.settings_schema import (
    AUDIENCE_DEFAULT,
    DEFAULTS,
    RESOURCES,
    SCHEDULES,
    find_problems,
    notification_audiences,
)

__all__ = [
    "DEFAULTS",
    "RESOURCES",
    "SCHEDULES",
    "EffectiveSettings",
    "Setting",
    "Source",
    "effective_settings",
    "find_problems",
    "resolve_settings",
]

OFF = "off"
NOBODY = "nobody"


class Source(StrEnum):
    """The origin of a value, nearest first."""

    ADMINISTRATION = "administration"
    TEMPLATE = "template"
    ORGANISATION = "organisation"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True)
class Setting:
    key: str
    value: Any
    source: Source


@dataclass(frozen=True)
class EffectiveSettings:
    """The settings of one administration, each with its source in `sources`.

    `limited_keys`: settings that the organisation restricts here.
    """

    resources: tuple[str, ...]
    fiscal_years_back: int
    schedule: str
    full_comparison_weekday: int
    notify: Mapping[str, str]
    sources: Mapping[str, Source]
    limited_keys: frozenset[str] = frozenset()
    audience_sources: Mapping[str, Source] = field(default_factory=dict)
    """The level that sets the audience of each event of `notify`: events are set one by one."""
    silenced_events: frozenset[str] = frozenset()
    """Events of which the organisation notifies no member, whatever templates and administrations set."""


COMPARED_KEYS = ("resources", "fiscal_years_back", "schedule", "full_comparison_weekday", "notify")
"""The settings that make two administrations be treated differently."""


def effective_settings(administration: Administration) -> EffectiveSettings:
    """Return the settings in force. Reads the `template` and `organisation`: select_related them for many."""
    template = administration.template.settings if administration.template else {}
    return resolve_settings(administration.settings, template, administration.organisation.settings)


def resolve_settings(
    administration_settings: SettingsMap, template: SettingsMap, organisation: SettingsMap
) -> EffectiveSettings:
    """Resolve each setting, nearest first. What the organisation switched off is off: resources, and syncing
    itself.
    """
    resolved = {
        key: _resolve_setting(key, administration_settings, template, organisation) for key in DEFAULTS
    }
    allowed = organisation.get("resources", RESOURCES)
    resources = tuple(key for key in resolved["resources"].value if key in RESOURCES)
    schedule = OFF if organisation.get("schedule") == OFF else str(resolved["schedule"].value)
    audiences = _resolve_audiences(administration_settings, template, organisation)
    silenced = {
        event
        for event, audience in notification_audiences(organisation).items()
        if audience == NOBODY and event in audiences
    }
    limited = {"resources"} if set(resources) - set(allowed) else set()
    return EffectiveSettings(
        resources=tuple(key for key in resources if key in allowed),
        fiscal_years_back=int(resolved["fiscal_years_back"].value),
        schedule=schedule,
        full_comparison_weekday=int(resolved["full_comparison_weekday"].value),
        notify={
            event: NOBODY if event in silenced else setting.value for event, setting in audiences.items()
        },
        sources={key: setting.source for key, setting in resolved.items()},
        limited_keys=frozenset(limited | ({"schedule"} if schedule != resolved["schedule"].value else set())),
        audience_sources={event: setting.source for event, setting in audiences.items()},
        silenced_events=frozenset(event for event in silenced if audiences[event].value != NOBODY),
    )


def _resolve_audiences(
    administration_settings: SettingsMap, template: SettingsMap, organisation: SettingsMap
) -> Mapping[str, Setting]:
    """Resolve who is notified, nearest first, event by event."""
    nearest_first = [
        (Source.ADMINISTRATION, notification_audiences(administration_settings)),
        (Source.TEMPLATE, notification_audiences(template)),
        (Source.ORGANISATION, notification_audiences(organisation)),
        (Source.DEFAULT, dict.fromkeys(audience_events(), AUDIENCE_DEFAULT)),
    ]
    return {
        event: next(
            Setting(key=event, value=audiences[event], source=source)
            for source, audiences in nearest_first
            if event in audiences
        )
        for event in audience_events()
    }


def _resolve_setting(
    key: str, administration_settings: SettingsMap, template: SettingsMap, organisation: SettingsMap
) -> Setting:
    nearest_first: tuple[tuple[Source, Mapping[str, object]], ...] = (
        (Source.ADMINISTRATION, administration_settings),
        (Source.TEMPLATE, template),
        (Source.ORGANISATION, organisation),
    )
    for source, values in nearest_first:
        if key in values:
            return Setting(key=key, value=values[key], source=source)
    return Setting(key=key, value=DEFAULTS[key], source=Source.DEFAULT)
