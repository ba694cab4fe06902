"""A bundle of settings, as the organisation, a template and an administration hold it: its keys and what they may be."""

from collections.abc import Mapping
from typing import Any

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from koppel.connector.rows import ROWS
from koppel.organisations.errors import Refused

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
KEYS = {
    "resources": gettext_lazy("What is read"),
    "fiscal_years_back": gettext_lazy("Fiscal years before the current one"),
    "schedule": gettext_lazy("Schedule"),
    "full_comparison_weekday": gettext_lazy("Full comparison on"),
    "notify": gettext_lazy("Notices"),
}
FISCAL_YEARS_BACK_MAX = 20
DEFAULTS: dict[str, Any] = {
    "resources": list(RESOURCES),
    "fiscal_years_back": 1,
    "schedule": "daily",
    "full_comparison_weekday": 6,
    "notify": ["import_finished", "sync_failed"],
}
"""Koppel's own, where nobody sets anything. `full_comparison_weekday` counts from Monday = 0, `fiscal_years_back` from the
current one."""
_resource_labels: dict[str, str | Promise] = {}


def register_resource_labels(labels: Mapping[str, str | Promise]) -> None:
    """What a person calls each resource: the slice of the books knows."""
    _resource_labels.update(labels)


def resource_label(key: str) -> str:
    return str(_resource_labels.get(key, key))


def problems_with(settings: Mapping[str, Any]) -> dict[str, str]:
    """Why a bundle of settings cannot be stored, by key; {} when it can. For templates, organisations, administrations."""
    problems: dict[str, str] = {}
    for key in settings.keys() - KEYS.keys():
        problems[key] = "unknown"
    if not set(settings.get("resources", ())) <= set(RESOURCES):
        problems["resources"] = "unknown_resource"
    years = settings.get("fiscal_years_back", 0)
    if not isinstance(years, int) or not 0 <= years <= FISCAL_YEARS_BACK_MAX:
        problems["fiscal_years_back"] = "out_of_range"
    if settings.get("schedule", "off") not in SCHEDULES:
        problems["schedule"] = "unknown_schedule"
    if settings.get("full_comparison_weekday", 0) not in range(7):
        problems["full_comparison_weekday"] = "out_of_range"
    return problems


def asked(form: QueryDict, before: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle that a form asks for. A field left empty is not set, so that what lies beneath holds.

    Keys that the form does not show stay as they were `before`. Raises `Refused` with a sentence."""
    values = {key: value for key, value in before.items() if key == "notify"}
    if form.get("resources_set"):
        values["resources"] = form.getlist("resources")
    for key in ("fiscal_years_back", "full_comparison_weekday"):
        if text := form.get(key, "").strip():
            values[key] = int(text) if text.isdecimal() and len(text) < 4 else -1
    if schedule := form.get("schedule", ""):
        values["schedule"] = schedule
    refuse_problems(values)
    return values


def refuse_problems(values: Mapping[str, Any]) -> None:
    """Raises `Refused`, naming the settings that cannot be stored."""
    if problems := problems_with(values):
        names = ", ".join(str(KEYS.get(key, key)) for key in sorted(problems))
        raise Refused(_("These settings cannot be stored: %s.") % names)
