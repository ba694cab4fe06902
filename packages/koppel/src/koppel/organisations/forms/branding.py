"""The form of the organisation's logo and colour."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from koppel.kit.web.forms import FlagField, Form, TextField
from koppel.kit.web.schemas import Input
from koppel.organisations.organisation_settings.branding import too_large_text
from koppel.organisations.organisation_settings.images import BYTES_MAX


class LogoField(forms.FileField):
    """An uploaded picture; its bytes, and None without a file."""

    def clean(self, data: Any, initial: Any = None) -> bytes | None:
        upload = super().clean(data, initial)
        if not upload:
            return None
        if (upload.size or 0) > BYTES_MAX:
            raise ValidationError(too_large_text(), code="too_large")
        return bytes(upload.read())


class BrandingForm(Form[Input]):
    """A colour and a picture. No input type: only this page offers it."""

    colour = TextField(max_length=20)
    default_colour = FlagField()
    logo = LogoField(required=False)
