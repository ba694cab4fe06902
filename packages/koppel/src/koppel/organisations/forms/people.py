"""Forms about people: their access, what they hand over, and their invitations."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import ChoiceField, FlagField, Form, IdField, IdsField, TextField, TextFileField
from koppel.kit.web.schemas import Input
from koppel.organisations.invitations.csv_import import LIMITS, parse_end_of_day
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Membership
from koppel.organisations.people.inputs import AccessInput, HandOverInput
from koppel.organisations.roles import Role

PASSWORD_LENGTH_MAX = 4096


class AccessForm(Form[AccessInput]):
    """The access of a person: the fields of `parts/role_and_divisions.html`, and whether they may sign in."""

    input_type = AccessInput
    role = ChoiceField(choices=Role.choices, required=True)
    divisions = IdsField()
    until = TextField()
    is_active = FlagField()

    @staticmethod
    def initial_of(membership: Membership) -> dict[str, Any]:
        """Return what the form shows of a membership."""
        ends = timezone.localdate(membership.expires_at).isoformat() if membership.expires_at else ""
        division_ids = membership.divisions.values_list("division_id", flat=True)
        return {
            "role": membership.role,
            "divisions": [str(division_id) for division_id in division_ids],
            "until": ends,
            "is_active": membership.is_active,
        }

    def input_values(self) -> Mapping[str, Any]:
        """Return the input's values. Raises `Invalid`, and `Refused` for an invalid date."""
        values = self.values
        return {
            "role": values["role"],
            "divisions": values["divisions"],
            "active": values["is_active"],
            "expires_at": parse_end_of_day(values["until"]) if values["until"] else None,
        }

    def show_error(self, message: str, field: str = "") -> None:
        super().show_error(message, {"expires_at": "until", "active": "is_active"}.get(field, field))

    @property
    def fields_to_confirm(self) -> dict[str, str | list[str]]:
        """Return the fields that the confirmation page submits again. Raises `Invalid`."""
        values = self.values
        divisions = [str(division_id) for division_id in values["divisions"]]
        tick = {"is_active": "1"} if values["is_active"] else {}
        return {"role": values["role"], "until": values["until"], "divisions": divisions, **tick}


class HandOverForm(Form[HandOverInput]):
    """The member who takes over, and whether the departing member loses access."""

    input_type = HandOverInput
    to = IdField(required=True, error_messages={"required": _("Choose an active colleague.")})
    deactivate = FlagField()


class InvitationForm(Form[InvitationInput]):
    """The person to invite, with role and access."""

    input_type = InvitationInput
    email = TextField(max_length=254)
    name = TextField()
    role = ChoiceField(choices=Role.choices, initial=Role.USER)
    divisions = IdsField()
    until = TextField()

    def input_values(self) -> Mapping[str, Any]:
        """Return the input's values. Raises `Invalid`, and `Refused` for an invalid date."""
        values = self.values
        until = parse_end_of_day(values["until"]) if values["until"] else None
        return {**values, "role": values["role"] or Role.USER, "until": until}


class InvitationListForm(Form[Input]):
    """Many people at once: lines, or a file of lines. `confirmed`: the person has seen the preview.

    No input type: page and command pass the text itself, which `csv_import` reads line by line.
    """

    text = forms.CharField(required=False, strip=False, widget=forms.Textarea)
    file = TextFileField(
        bytes_max=LIMITS.size, too_large=_("This file is larger than 1 MB. A list of people is much smaller.")
    )
    confirmed = FlagField()


class AcceptForm(Form[Input]):
    """Name and password of an invited person without an account. No input type: only the page of the link
    offers it.
    """

    name = TextField()
    password = TextField(max_length=PASSWORD_LENGTH_MAX, strip=False, widget=forms.PasswordInput)
