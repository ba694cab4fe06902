"""Forms of webhooks and of their messages."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import ChoiceField, ChoicesField, Form, IdField, IdsField, TextField
from koppel.notifications.event_types import webhook_event_types
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
    """A message to send again; without an id all that failed."""

    input_type = RedeliverInput
    id = IdField()

    def input_values(self) -> Mapping[str, Any]:
        return {"ids": [self.values["id"]] if self.values["id"] else None}
