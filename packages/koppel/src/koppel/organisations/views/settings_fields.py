"""Fields of settings on the pages of the organisation and of a template: options and inherited values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.forms import BoundField
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from koppel.organisations.forms.settings_values import SettingsForm
from koppel.organisations.hooks import audience_events
from koppel.organisations.models import SettingsMap
from koppel.organisations.settings_schema import (
    AUDIENCE_DEFAULT,
    AUDIENCE_LABELS,
    DEFAULTS,
    RESOURCES,
    SCHEDULE_NAMES,
    SETTING_LABELS,
    WEEKDAYS,
    notification_audiences,
    resource_label,
)


@dataclass(frozen=True)
class InheritedValue:
    """The value in force where a setting is not set, as text, and its source."""

    text: str
    source: str


@dataclass(frozen=True, kw_only=True)
class AudienceRow:
    """An event and who is notified of it; `audience` '' = not set here."""

    event: str
    label: str | Promise
    audience: str
    inherited: InheritedValue
    field: BoundField


def fields_context(form: SettingsForm[Any], current: SettingsMap, inherited: SettingsMap) -> dict[str, Any]:
    """Return the context of `organisations/settings_fields.html`. `inherited`: what the level beneath sets,
    {} where only Koppel's defaults are.
    """
    return {
        "form": form,
        "current": current,
        "all_resources": RESOURCES,
        "schedules": list(SCHEDULE_NAMES.items()),
        "weekdays": [(str(day), label) for day, label in enumerate(WEEKDAYS)],
        "inherited": {key: _inherited_value(key, inherited) for key in SETTING_LABELS},
        "cap": set(RESOURCES) - set(inherited.get("resources", RESOURCES)),
        "schedule_is_off": inherited.get("schedule") == "off",
        "audiences": list(AUDIENCE_LABELS.items()),
        "audience_rows": _audience_rows(form, current, inherited),
    }


def describe_settings(settings: SettingsMap) -> list[tuple[str, str]]:
    """Return (setting, value) of what these settings have."""
    values: Mapping[str, object] = settings
    return [
        (str(label), describe_value(key, values[key]))
        for key, label in SETTING_LABELS.items()
        if key in values
    ]


def describe_value(key: str, value: Any) -> str:
    """Return the value of a setting as text."""
    if key == "resources":
        if set(value) >= set(RESOURCES):
            return _("everything")
        return ", ".join(resource_label(key) for key in RESOURCES if key in value) or _("none")
    if key == "schedule":
        return str(SCHEDULE_NAMES.get(value, value))
    if key == "full_comparison_weekday":
        return str(WEEKDAYS[value])
    if key == "notify":
        audiences = [
            f"{audience_events().get(event, event)}: {AUDIENCE_LABELS.get(audience, audience)}"
            for event, audience in value.items()
        ]
        return "; ".join(audiences) or str(AUDIENCE_LABELS[AUDIENCE_DEFAULT])
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _audience_rows(
    form: SettingsForm[Any], current: SettingsMap, inherited: SettingsMap
) -> list[AudienceRow]:
    current_audiences, beneath = notification_audiences(current), notification_audiences(inherited)
    return [
        AudienceRow(
            event=event,
            label=label,
            audience=current_audiences.get(event, ""),
            inherited=_inherited_audience(beneath.get(event)),
            field=form[f"notify-{event}"],
        )
        for event, label in audience_events().items()
    ]


def _inherited_audience(audience: str | None) -> InheritedValue:
    return InheritedValue(
        str(AUDIENCE_LABELS[audience or AUDIENCE_DEFAULT]), _source(is_of_organisation=bool(audience))
    )


def _inherited_value(key: str, inherited: Mapping[str, Any]) -> InheritedValue:
    return InheritedValue(
        describe_value(key, inherited.get(key, DEFAULTS[key])), _source(is_of_organisation=key in inherited)
    )


def _source(*, is_of_organisation: bool) -> str:
    return _("From the organisation") if is_of_organisation else _("Koppel default")
