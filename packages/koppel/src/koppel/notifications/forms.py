"""Forms of notifications, preferences and webhooks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import (
    ChoiceField,
    ChoicesField,
    DayField,
    Form,
    IdField,
    IdsField,
    TextField,
)
from koppel.kit.web.schemas import Input
from koppel.notifications.audience.preferences import SCREEN_SCOPES, PreferenceRow
from koppel.notifications.event_types import webhook_event_types
from koppel.notifications.models import Channel, PreferenceScope
from koppel.notifications.webhooks.inputs import NAME_LENGTH_MAX, RedeliverInput, WebhookInput

ALL_OR_SOME = [("all", "all"), ("some", "some")]


class WebhookForm(Form[WebhookInput]):
    """A webhook: of all events or some, and for the whole organisation or some divisions."""

    input_type = WebhookInput
    name = TextField(max_length=NAME_LENGTH_MAX)
    url = TextField(max_length=500)
    which = ChoiceField(choices=ALL_OR_SOME)
    events = ChoicesField(choices=lambda: [(event, event) for event in webhook_event_types()])
    where = ChoiceField(choices=ALL_OR_SOME)
    divisions = IdsField()

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("which") == "some" and not values.get("events") and "events" not in self.errors:
            self.add_error("events", _("Choose at least one event, or all events."))
        if values.get("where") == "some" and not values.get("divisions") and "divisions" not in self.errors:
            self.add_error("divisions", _("Choose at least one division, or the whole organisation."))
        return values

    def input_values(self) -> Mapping[str, Any]:
        values = self.values
        return {
            "name": values["name"],
            "url": values["url"],
            "events": values["events"] if values["which"] == "some" else [],
            "divisions": values["divisions"] if values["where"] == "some" else [],
        }


class RedeliverForm(Form[RedeliverInput]):
    """One message to send again; without an id all that failed."""

    input_type = RedeliverInput
    id = IdField()

    def input_values(self) -> Mapping[str, Any]:
        return {"ids": [self.values["id"]] if self.values["id"] else None}


class ReadForm(Form[Input]):
    """A notice to mark as read or as unread; without either all up to the newest
    that the page showed. `query` leads back.

    No input type: REST marks the notices that it names, without a page that shows the newest."""

    id = IdField()
    unread = IdField()
    newest = IdField()
    query = TextField(max_length=2000)


class PreferencesForm(Form[Input]):
    """Scopes by channel and event, in fields named for both; the digest; the stand-in with an end.

    No input type: the table has a field for each pair, and REST a list of pairs."""

    digest = ChoiceField(choices=[("now", "now"), ("daily", "daily")])
    stand_in = IdField()
    away_until = DayField()

    def __init__(self, data: Mapping[str, Any] | None, rows: list[PreferenceRow], **options: Any) -> None:
        super().__init__(data, **options)
        self._events = [row.event for row in rows]
        # The form does not offer to hide anything from the screen.
        scopes = {
            Channel.SCREEN: [scope.value for scope in SCREEN_SCOPES],
            Channel.EMAIL: PreferenceScope.values,
        }
        for event in self._events:
            for channel, values in scopes.items():
                self.fields[f"{channel}-{event}"] = ChoiceField(choices=[(value, value) for value in values])

    def clean(self) -> dict[str, Any]:
        """Repeat errors of the table of events at the head of the form: a person cannot cause them there."""
        values = super().clean() or {}
        for name in [name for name in self.errors if "-" in name]:
            self.add_error(None, " ".join(map(str, self.errors[name])))
        return values

    def typed_rows(self, rows: list[PreferenceRow]) -> list[PreferenceRow]:
        """Return the rows as the page sent them, for the page that shows an error."""
        return [
            replace(
                row,
                **{
                    channel: self[f"{channel}-{row.event}"].value() or getattr(row, channel)
                    for channel in Channel.values
                },
            )
            for row in rows
        ]

    def typed_delivery_settings(self) -> Mapping[str, Any]:
        """Return the typed digest and stand-in, for the page to show again."""
        return {"digest": self["digest"].value() == "daily", "stand_in_id": self.cleaned_data.get("stand_in")}

    def scopes(self) -> dict[tuple[str, str], str]:
        """Return the chosen scopes by event and channel; what the page
        did not show is left out. Raises `Invalid`."""
        chosen = {
            (event, channel): self.values[f"{channel}-{event}"]
            for event in self._events
            for channel in Channel.values
        }
        return {key: scope for key, scope in chosen.items() if scope}
