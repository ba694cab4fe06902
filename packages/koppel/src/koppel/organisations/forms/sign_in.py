"""Forms of signing in through an identity provider, and of operators. No input types: a browser alone signs
in.
"""

from django import forms
from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import Form, IdField, TextField
from koppel.kit.web.schemas import Input
from koppel.organisations.sso.oidc import AuthorisationResponse

CODE_LENGTH_MAX = 8000
NO_ACCESS = _("This organisation does not grant support access.")


class EmailForm(Form[Input]):
    """The address by whose domain the identity provider is found."""

    email = TextField(max_length=254)


class AuthorizationForm(Form[Input]):
    """The parameters with which an identity provider sends a person back. An unreadable one counts as absent:
    it finds neither an attempt nor a code.
    """

    state = TextField()
    code = TextField(max_length=CODE_LENGTH_MAX)
    iss = forms.Field(required=False, widget=forms.MultipleHiddenInput)

    @property
    def state_sent(self) -> str:
        self.is_valid()
        return str(self.cleaned_data.get("state", ""))

    @property
    def response(self) -> AuthorisationResponse:
        self.is_valid()
        issuers = self.cleaned_data["iss"]
        return AuthorisationResponse(
            self.cleaned_data.get("code", ""), " ".join(issuers) if issuers else None
        )


class OperatorForm(Form[Input]):
    """The organisation that an operator looks into."""

    organisation = IdField(
        required=True, widget=forms.HiddenInput, error_messages={"required": NO_ACCESS, "invalid": NO_ACCESS}
    )
