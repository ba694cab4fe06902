"""Codes of the second step: each one once, and only from the account's own secrets.

allauth remembers a used code for half a minute, but accepts it for one and a half, and does not count the
code that set an app up. Here the time step of the last code is kept with the app (RFC 6238, 5.2).
"""

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.base import forms
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.db import transaction
from django.http import HttpRequest

from koppel.organisations.access.mfa_secrets import has_own_secrets

LAST_STEP = "last_step"


class AuthenticateForm(forms.AuthenticateForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        return _require_unused(self, super().clean_code())


class ReauthenticateForm(forms.ReauthenticateForm):  # type: ignore[misc]
    def clean_code(self) -> str:
        return _require_unused(self, super().clean_code())


def mark_first_code(request: HttpRequest, authenticator: Authenticator, **_more: Any) -> None:
    """Receive the signal of a new second step: the code that activated an app is used."""
    if authenticator.type == Authenticator.Type.TOTP:
        _use_code(authenticator.pk, request.POST.get("code", ""))


def _require_unused(form: Any, code: str) -> str:
    """Return the code that the form has accepted, unless it was used before or its secret was moved."""
    authenticator = form.authenticator
    is_own = has_own_secrets(authenticator)
    is_app = authenticator.type == Authenticator.Type.TOTP
    if not is_own or (is_app and not _use_code(authenticator.pk, code)):
        raise get_adapter().validation_error("incorrect_code")
    return code


def _use_code(authenticator_id: int, code: str) -> bool:
    """Store the time step of a code. Return False when it, or a later one, was used before."""
    with transaction.atomic():
        app = Authenticator.objects.select_for_update().get(pk=authenticator_id)
        step = _step_of(decrypt(app.data["secret"]), code)
        if step is None or step <= app.data.get(LAST_STEP, 0):
            return False
        app.data[LAST_STEP] = step
        app.save(update_fields=["data"])
        return True


def _step_of(secret: str, code: str) -> int | None:
    typed = "".join(code.split())
    steps = [
        step
        for step in yield_hotp_counters_from_time()
        if typed == format_hotp_value(hotp_value(secret, step))
    ]
    return max(steps, default=None)
