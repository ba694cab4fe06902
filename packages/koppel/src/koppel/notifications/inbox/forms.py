"""Forms of notifications and notification preferences."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from koppel.kit.web.forms import ChoiceField, DayField, Form, IdField, TextField
from koppel.kit.web.schemas import Input
from koppel.notifications.audience.preferences import SCREEN_SCOPES, PreferenceRow
from koppel.notifications.models import Channel, PreferenceScope


class ReadForm(Form[Input]):
    """A notification to mark as read or as unread; without either all up to the newest that the page showed.
    `query` leads back.

    No input type: REST marks the notices that it names, without a page that shows the newest.
    """

    id = IdField()
    unread = IdField()
    newest = IdField()
    query = TextField(max_length=2000)


class NotificationPreferencesForm(Form[Input]):
    """Scopes by channel and event, in fields named for both; the digest; the stand-in with an end.

    No input type: the table has a field for each pair, and REST a list of pairs.
    """

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
        """Move errors of the event table to the top of the form: a person cannot cause them there."""
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
        """Return the chosen scopes by event and channel; what the page did not show is left out. Raises
        `Invalid`.
        """
        chosen = {
            (event, channel): self.values[f"{channel}-{event}"]
            for event in self._events
            for channel in Channel.values
        }
        return {key: scope for key, scope in chosen.items() if scope}
