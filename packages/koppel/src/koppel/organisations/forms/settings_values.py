"""Forms with settings: of the organisation and of a template."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from django import forms

from koppel.kit.web.forms import ChoiceField, ChoicesField, FlagField, Form, TextField
from koppel.kit.web.schemas import NAME_LENGTH_MAX, Input
from koppel.organisations.groups.inputs import TemplateInput
from koppel.organisations.hooks import audience_events
from koppel.organisations.inputs import ORGANISATION_NAME_LENGTH_MAX, OrganisationInput
from koppel.organisations.models import SettingsMap
from koppel.organisations.settings_schema import (
    AUDIENCE_LABELS,
    FISCAL_YEARS_BACK_MAX,
    RESOURCES,
    SCHEDULE_NAMES,
    WEEKDAYS,
)

InputT = TypeVar("InputT", bound=Input)


class SettingsForm(Form[InputT]):
    """The fields of `organisations/settings_fields.html`. An empty field is not set: the value of the next
    level applies.
    """

    resources_set = FlagField()
    resources = ChoicesField(choices=[(key, key) for key in RESOURCES])
    fiscal_years_back = forms.IntegerField(min_value=0, max_value=FISCAL_YEARS_BACK_MAX, required=False)
    schedule = ChoiceField(choices=list(SCHEDULE_NAMES.items()))
    full_comparison_weekday = ChoiceField(choices=[(str(day), label) for day, label in enumerate(WEEKDAYS)])

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for event in audience_events():
            self.fields[f"notify-{event}"] = ChoiceField(choices=list(AUDIENCE_LABELS.items()))

    def settings_values(self) -> dict[str, Any]:
        """Return the settings that the form sets. Raises `Invalid`."""
        values = self.values
        audiences = {
            event: audience for event in audience_events() if (audience := values[f"notify-{event}"])
        }
        weekday = values["full_comparison_weekday"]
        return _without_empty(
            resources=values["resources"] if values["resources_set"] else None,
            fiscal_years_back=values["fiscal_years_back"],
            full_comparison_weekday=int(weekday) if weekday else None,
            schedule=values["schedule"] or None,
            notify=audiences or None,
        )

    @property
    def typed_settings(self) -> SettingsMap:
        """Return the typed values for the page to show again, with text where a value is invalid; {} when
        nothing was sent.
        """
        if not self.is_bound:
            return {}
        audiences = {
            event: audience for event in audience_events() if (audience := self[f"notify-{event}"].value())
        }
        weekday = self["full_comparison_weekday"].value()
        typed = _without_empty(
            resources=self["resources"].value() if self["resources_set"].value() else None,
            fiscal_years_back=self["fiscal_years_back"].value() or None,
            full_comparison_weekday=int(weekday) if weekday in map(str, range(len(WEEKDAYS))) else None,
            schedule=self["schedule"].value() or None,
            notify=audiences or None,
        )
        return cast("SettingsMap", typed)


class TemplateForm(SettingsForm[TemplateInput]):
    """A new template, or all that can be changed about one.

    `confirmed`: the number of administrations of which the page announced a change.
    """

    input_type = TemplateInput
    name = TextField(max_length=NAME_LENGTH_MAX)
    archived = FlagField()
    confirmed = TextField()

    def input_values(self) -> Mapping[str, Any]:
        return {
            "settings": self.settings_values(),
            "name": self.values["name"],
            "archived": self.values["archived"],
        }


class OrganisationForm(SettingsForm[OrganisationInput]):
    """The organisation's name, and the settings beneath every template."""

    input_type = OrganisationInput
    name = TextField(max_length=ORGANISATION_NAME_LENGTH_MAX)

    def input_values(self) -> Mapping[str, Any]:
        return {"settings": self.settings_values(), "name": self.values["name"]}


def _without_empty(**settings: Any) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}
