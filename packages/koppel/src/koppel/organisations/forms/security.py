"""Forms of the page about security."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import FlagField, Form, TextField
from koppel.kit.web.schemas import Input
from koppel.organisations.access import allowed_networks
from koppel.organisations.access.security_policy import (
    AUDIT_YEARS,
    OPERATOR_ACCESS_HOURS,
    SecurityPolicy,
    parse_domains,
)
from koppel.organisations.inputs import DOMAIN_LENGTH_MAX, DomainInput
from koppel.organisations.sso.inputs import ProviderInput

DOMAINS_LENGTH_MAX = 5000
SECRET_LENGTH_MAX = 2000
NO_YEARS = _("Choose a retention period.")
NO_HOURS = _("Choose a period.")


class NumberChoiceField(forms.TypedChoiceField):
    """A choice among a few numbers."""

    def __init__(self, numbers: tuple[int, ...], message: Any) -> None:
        messages = {"required": message, "invalid_choice": message}
        super().__init__(
            choices=[(str(number), number) for number in numbers], coerce=int, error_messages=messages
        )


class SecurityPolicyForm(Form[Input]):
    """The rules of sign-in for all members, and the retention of the activity. No input type: only this page
    offers it.
    """

    requires_mfa = FlagField()
    email_domains = TextField(max_length=DOMAINS_LENGTH_MAX)
    networks = TextField(max_length=DOMAINS_LENGTH_MAX)
    audit_years = NumberChoiceField(AUDIT_YEARS, NO_YEARS)

    @property
    def policy(self) -> SecurityPolicy:
        """The chosen rules. Raises `Invalid`, and `Refused` for what is no domain or network."""
        domains = parse_domains(self.values["email_domains"])
        addresses = allowed_networks.parse_networks(self.values["networks"])
        return SecurityPolicy(
            requires_mfa=self.values["requires_mfa"],
            email_domains=domains,
            networks=addresses,
            audit_years=self.values["audit_years"],
        )


class ProviderForm(Form[ProviderInput]):
    """The identity provider. An empty secret keeps the stored one, which the page never shows."""

    input_type = ProviderInput
    name = TextField(max_length=100)
    issuer = TextField(max_length=300)
    client_id = TextField(max_length=300)
    client_secret = TextField(max_length=SECRET_LENGTH_MAX, strip=False)


class DomainForm(Form[DomainInput]):
    """An e-mail domain to verify."""

    input_type = DomainInput
    domain = TextField(max_length=DOMAIN_LENGTH_MAX)


class SupportForm(Form[Input]):
    """The hours for which operators may look in. No input type: only this page offers it."""

    hours = NumberChoiceField(OPERATOR_ACCESS_HOURS, NO_HOURS)
