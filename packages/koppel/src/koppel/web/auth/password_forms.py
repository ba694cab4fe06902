"""Forms for a new password, which can revoke API tokens too."""

from typing import Any

from allauth.account import forms
from allauth.core import context
from django.forms import BooleanField, CheckboxInput
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from koppel.kit.jobs import enqueue
from koppel.kit.web.client_ip import client_ip
from koppel.organisations.access.api_tokens import count_tokens, revoke_all_tokens

REVOKE = "revoke_tokens"


def _add_revocation_choice(form: Any, *, initial: bool) -> None:
    """Add the choice to revoke the person's API tokens, if there are any."""
    user_id = form.user.pk if form.user else 0
    if count_tokens(user_id):
        label = _("Also revoke my API tokens")
        form.fields[REVOKE] = BooleanField(
            required=False, initial=initial, label=label, widget=CheckboxInput(attrs={"class": "switch"})
        )


def _revoke_if_chosen(form: Any) -> None:
    if form.cleaned_data.get(REVOKE):
        revoke_all_tokens(form.user.pk, client_ip(context.request))


class ResetPasswordForm(forms.ResetPasswordForm):  # type: ignore[misc]
    """The address that gets a link. A worker sends the mail and writes the audit log, so that the response
    takes as long for an address without an account.
    """

    def save(self, request: HttpRequest, **_options: Any) -> str:
        user_id = self.users[0].pk if self.users else 0
        enqueue(
            "organisations.send_password_link",
            user_id=user_id,
            language=get_language() or "en",
            address=client_ip(request),
        )
        return str(self.cleaned_data["email"])


class ResetPasswordKeyForm(forms.ResetPasswordKeyForm):  # type: ignore[misc]
    """A new password from a link. Offers to revoke API tokens, because another person may have had the
    password.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _add_revocation_choice(self, initial=True)

    def save(self) -> None:
        super().save()
        _revoke_if_chosen(self)


class ChangePasswordForm(forms.ChangePasswordForm):  # type: ignore[misc]
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        _add_revocation_choice(self, initial=False)

    def save(self) -> None:
        super().save()
        _revoke_if_chosen(self)
