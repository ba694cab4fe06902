"""Forms of a person's own account. No input types: these use cases belong to a browser session, and neither
REST nor a command offers them.
"""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import ChoiceField, Form, IdField, TextField
from koppel.kit.web.schemas import Input
from koppel.organisations.access.api_tokens import LIFETIME_DAYS, NAME_LENGTH_MAX
from koppel.organisations.roles import Role

NO_LIFETIME = _("Choose a validity period.")
NOT_A_MEMBER = _("You are no longer a member of that organisation.")


class TokenForm(Form[Input]):
    """A new API token: its values are what `create_token` takes."""

    name = TextField(max_length=NAME_LENGTH_MAX)
    access = ChoiceField(choices=[("read", "read"), ("write", "write")], initial="read")
    role = ChoiceField(choices=Role.choices)
    days = ChoiceField(
        choices=[(str(days), days) for days in LIFETIME_DAYS],
        initial="90",
        required=True,
        error_messages={"required": NO_LIFETIME, "invalid_choice": NO_LIFETIME},
    )

    def clean_role(self) -> Role | None:
        role = self.cleaned_data["role"]
        return Role(role) if role else None

    def clean_days(self) -> int:
        return int(self.cleaned_data["days"])

    def clean(self) -> dict[str, Any]:
        """Return the data with the choice as a flag; without a choice the token is read-only."""
        self.cleaned_data["read_only"] = self.cleaned_data.pop("access", "") != "write"
        return self.cleaned_data


class SessionForm(Form[Input]):
    """The session to end; none means all others, or what `all` names."""

    id = IdField(widget=forms.HiddenInput)
    all = ChoiceField(choices=[("sessions", "sessions"), ("tokens", "tokens")])


class OrganisationChoiceForm(Form[Input]):
    """The organisation to act in."""

    organisation = IdField(
        required=True,
        widget=forms.HiddenInput,
        error_messages={"required": NOT_A_MEMBER, "invalid": NOT_A_MEMBER},
    )
