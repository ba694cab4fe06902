"""Forms of the pages of connections."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from koppel.connections.app_registrations.services import CLIENT_ID_CHARACTERS_MAX, REFRESH_TOKEN_DAYS_MAX
from koppel.connections.companies.resolution import CODES
from koppel.connections.errors import RegistrationRefused
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.inputs import (
    AppRegistrationInput,
    ChangeResolution,
    ImportPolicyInput,
    RemovalInput,
    TransferInput,
)
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import ImportPolicy
from koppel.kit.encryption import Secret
from koppel.kit.errors import KoppelError
from koppel.kit.web.forms import ChoiceField, FlagField, Form, IdField, IdsField, MomentField, TextField
from koppel.kit.web.parameters import LIST_ENTRIES_MAX
from koppel.kit.web.schemas import Input

PARAMETER_CHARACTERS_MAX = 4000
CONSENT_MODE_PARTS = ("connector", "environment", "consent_mode")


class TextsField(forms.Field):
    """Texts that a page writes for itself, each in a hidden input of the same name."""

    widget = forms.MultipleHiddenInput
    default_error_messages = IdsField.default_error_messages

    def __init__(self) -> None:
        super().__init__(required=False)

    def to_python(self, value: Any) -> list[str]:
        texts = value or ()
        if len(texts) > LIST_ENTRIES_MAX:
            raise ValidationError(
                self.error_messages["too_many"], code="too_many", params={"count": LIST_ENTRIES_MAX}
            )
        field = TextField()
        return [field.clean(text) for text in texts]


class SecretField(TextField):
    """A secret as it was typed; None when nothing was."""

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return Secret(text) if text else None


class ReconnectForm(Form[Input]):
    """`since`: when a round of signing in again began, to which this sign-in leads back.

    No input type: REST and commands print the address of one sign-in, without a round.
    """

    since = MomentField()


class TransferForm(Form[TransferInput]):
    """The member who is to take over."""

    input_type = TransferInput
    membership = IdField(required=True, error_messages={"required": _("Choose a colleague")})

    def input_values(self) -> Mapping[str, Any]:
        return {"member": self.values["membership"]}

    def show_error(self, message: str, field: str = "") -> None:
        super().show_error(message, "membership" if field == "member" else field)


class ImportPolicyForm(Form[ImportPolicyInput]):
    """The import policy, with the ticked companies."""

    input_type = ImportPolicyInput
    import_policy = ChoiceField(
        required=True,
        choices=ImportPolicy.choices,
        error_messages={"required": _("Choose what to share.")},
    )
    companies = IdsField()

    def input_values(self) -> Mapping[str, Any]:
        return {"policy": self.values["import_policy"], "companies": self.values["companies"]}


class ChangeForm(Form[ChangeResolution]):
    """A decision about one change, or about other companies in the place of those that are ticked."""

    input_type = ChangeResolution
    code = ChoiceField(required=True, choices=[(code, code) for code in sorted(CODES)])
    accept = ChoiceField(required=True, choices=[("1", "1"), ("0", "0")])
    administration = IdsField(
        required=True, error_messages={"required": _("Tick the administrations to decide about.")}
    )
    fingerprint = TextsField()
    same_company = FlagField()
    viewed_at = MomentField(error_messages={"invalid": _("This page is out of date. Please reload it.")})

    def clean(self) -> dict[str, Any]:
        """Require for other companies the time at which the page was opened: later conflicts are refused."""
        values = super().clean() or {}
        if values.get("code") == ConnectionIssue.OTHER_COMPANY and not values.get("viewed_at", True):
            field = self.fields["viewed_at"]
            self.add_error("viewed_at", ValidationError(field.error_messages["invalid"]))
        return values

    def input_values(self) -> Mapping[str, Any]:
        values = self.values
        return {
            "administrations": values["administration"],
            "code": values["code"],
            "accept": values["accept"] == "1",
            "viewed_at": values["viewed_at"],
            "fingerprints": values["fingerprint"],
            "same_company": values["same_company"],
        }


class RemovalForm(Form[RemovalInput]):
    """The fate of the administrations, and the preview that the person saw."""

    input_type = RemovalInput
    policy = ChoiceField(
        required=True,
        choices=[(policy.value, policy.value) for policy in RemovalPolicy],
        error_messages={"required": _("Choose what happens to the administrations.")},
    )
    fingerprint = TextField()


class AppRegistrationForm(Form[AppRegistrationInput]):
    """A new app registration, or all that can be changed about one; then it has no `consent_mode`.

    The use case says what is missing, for a new one and for a change.
    """

    input_type = AppRegistrationInput
    consent_mode = TextField()
    name = TextField(max_length=120)
    client_id = TextField(max_length=CLIENT_ID_CHARACTERS_MAX)
    client_secret = SecretField(max_length=1000)
    refresh_token_days = TextField()

    def clean_refresh_token_days(self) -> int | None:
        text = self.cleaned_data["refresh_token_days"]
        if text and not (text.isascii() and text.isdecimal()):
            message = gettext("Enter a number of days from 1 to %d, or leave it empty.")
            raise ValidationError(message % REFRESH_TOKEN_DAYS_MAX)
        return int(text) if text else None

    def input_values(self) -> Mapping[str, Any]:
        values = dict(self.values)
        parts = values.pop("consent_mode").split("/")
        is_complete = len(parts) == len(CONSENT_MODE_PARTS)
        return values | dict(zip(CONSENT_MODE_PARTS, parts if is_complete else ("", "", ""), strict=True))

    def show_refusal(self, error: KoppelError) -> None:
        problems = error.problems if isinstance(error, RegistrationRefused) else {error.field: error.message}
        for field, message in problems.items():
            self.show_error(message, "consent_mode" if field in CONSENT_MODE_PARTS else field)


class AuthorisationResponseForm(Form[Input]):
    """The vendor's authorisation response; each connector defines its parameters. No input type: it arrives
    in a browser only.
    """

    @property
    def authorisation_response(self) -> dict[str, str]:
        """All parameters, each the last of its name."""
        return {str(name): str(value)[:PARAMETER_CHARACTERS_MAX] for name, value in self.data.items()}
