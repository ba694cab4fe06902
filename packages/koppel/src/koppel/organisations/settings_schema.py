"""Settings of organisation, template and administration: keys and allowed values."""

from collections.abc import Collection, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.connector.rows import ROWS
from koppel.kit.database.json_fields import to_shape
from koppel.organisations.errors import Refused
from koppel.organisations.hooks import audience_events, resource_labels
from koppel.organisations.models import SettingsMap

RESOURCES = tuple(key for key in ROWS if key != "entry_lines")
SCHEDULE_NAMES = {
    "off": gettext_lazy("Off"),
    "daily": gettext_lazy("Daily"),
    "night": gettext_lazy("At night"),
    "hourly_2": gettext_lazy("Every 2 hours"),
    "hourly_4": gettext_lazy("Every 4 hours"),
    "hourly_8": gettext_lazy("Every 8 hours"),
}
SCHEDULES = tuple(SCHEDULE_NAMES)
WEEKDAYS = (
    gettext_lazy("Monday"),
    gettext_lazy("Tuesday"),
    gettext_lazy("Wednesday"),
    gettext_lazy("Thursday"),
    gettext_lazy("Friday"),
    gettext_lazy("Saturday"),
    gettext_lazy("Sunday"),
)
SETTING_LABELS = {
    "resources": gettext_lazy("Data to sync"),
    "fiscal_years_back": gettext_lazy("Fiscal years before the current one"),
    "schedule": gettext_lazy("Schedule"),
    "full_comparison_weekday": gettext_lazy("Weekly full check on"),
    "notify": gettext_lazy("Notifications"),
}
AUDIENCE_LABELS = {
    "nobody": gettext_lazy("none"),
    "responsible": gettext_lazy("Owner"),
    "assigned": gettext_lazy("Owner and assigned users"),
    "division": gettext_lazy("Owner, assigned users and division"),
}
"""The members notified of an event without a subscription; each but the first includes the previous one."""
FISCAL_YEARS_BACK_MAX = 20
DEFAULTS: dict[str, Any] = {
    "resources": list(RESOURCES),
    "fiscal_years_back": 1,
    "schedule": "daily",
    "full_comparison_weekday": 6,
    "notify": {},
}
"""Koppel's defaults. `full_comparison_weekday` counts from Monday = 0, `fiscal_years_back` from the current
one. `notify` maps events to audiences; one that it does not name is notified to the responsible person.
"""
AUDIENCE_DEFAULT = "responsible"


def resource_label(key: str) -> str:
    return str(resource_labels.get(key, key))


def notification_audiences(settings: SettingsMap) -> dict[str, str]:
    """Return the audience of each event that these settings configure."""
    return dict(settings.get("notify", {}))


def find_problems(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the reasons why settings cannot be stored, by key. For templates, organisations,
    administrations.
    """
    problems: dict[str, str] = {}
    for key in settings.keys() - SETTING_LABELS.keys():
        problems[key] = "unknown"
    resources = settings.get("resources", [])
    if not isinstance(resources, list | tuple) or any(key not in RESOURCES for key in resources):
        problems["resources"] = "unknown_resource"
    years = settings.get("fiscal_years_back", 0)
    if not isinstance(years, int) or isinstance(years, bool) or not 0 <= years <= FISCAL_YEARS_BACK_MAX:
        problems["fiscal_years_back"] = "out_of_range"
    if settings.get("schedule", "off") not in SCHEDULES:
        problems["schedule"] = "unknown_schedule"
    if settings.get("full_comparison_weekday", 0) not in range(7):
        problems["full_comparison_weekday"] = "out_of_range"
    notify = settings.get("notify", {})
    if not isinstance(notify, Mapping) or not notify.keys() <= audience_events().keys():
        problems["notify"] = "unknown_event"
    elif not {str(audience) for audience in notify.values()} <= AUDIENCE_LABELS.keys():
        problems["notify"] = "unknown_audience"
    return problems


def _describe_invalid_values(key: str, value: Any) -> str:
    """Return a message with the invalid values of a setting and the valid ones; '' for a number out of
    range.
    """
    allowed: Mapping[str, Collection[str]] = {
        "resources": RESOURCES,
        "schedule": SCHEDULES,
        "notify": audience_events(),
    }
    if key not in allowed:
        return ""
    values = (
        value if isinstance(value, list | tuple) else list(value) if isinstance(value, Mapping) else [value]
    )
    invalid = [str(entry)[:60] for entry in values if entry not in allowed[key]]
    if key == "notify" and isinstance(value, Mapping) and not invalid:
        invalid, allowed = (
            [str(entry)[:60] for entry in value.values() if entry not in AUDIENCE_LABELS],
            {key: AUDIENCE_LABELS},
        )
    return f" (“{'”, “'.join(invalid)}”; {', '.join(allowed[key])})" if invalid else ""


def validate_settings(values: Mapping[str, Any]) -> SettingsMap:
    """Return the settings as they can be stored. Raises `Refused`, naming the invalid ones."""
    if problems := find_problems(values):
        names = ", ".join(
            f"{SETTING_LABELS.get(key, key)}{_describe_invalid_values(key, values.get(key))}"
            for key in sorted(problems)
        )
        raise Refused(_("These settings cannot be saved: %s.") % names, field="settings")
    return to_shape(
        {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()},
        SettingsMap,
    )
