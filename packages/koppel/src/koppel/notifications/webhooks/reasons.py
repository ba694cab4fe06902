"""Reasons why a message was not accepted or not sent, or why a webhook was disabled."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.kit import quarantine
from koppel.kit.http.client import BROKEN as BROKEN_ANSWER
from koppel.kit.http.client import NOT_ALLOWED as ADDRESS_NOT_ALLOWED
from koppel.kit.http.client import NOT_CONNECTED as ADDRESS_NOT_CONNECTED


class WebhookReason(models.TextChoices):
    """The value is the stored code, the label the sentence."""

    REFUSED = "refused", _("The message was not accepted.")
    REDIRECTED = "redirected", _("The address redirects, which is not allowed. Enter the final address.")
    GONE = "gone", _("The address returns 410 (gone).")
    UNRESPONSIVE = "unresponsive", _("No message was accepted for three days.")
    TIMEOUT = "timeout", _("The address did not respond in time.")
    NETWORK = "network", _("The connection was interrupted.")
    BROKEN = BROKEN_ANSWER, _("The response could not be read.")
    TOO_LARGE = "too_large", _("The response is too large.")
    NOT_CONNECTED = ADDRESS_NOT_CONNECTED, _("The address cannot be reached.")
    NOT_ALLOWED = (
        ADDRESS_NOT_ALLOWED,
        _("This address is not public. Your administrator decides which private networks Koppel may call."),
    )
    DISABLED = "disabled", _("Webhook switched off.")
    QUARANTINED = quarantine.CODE, _("Not sent because Koppel was put into quarantine.")
    RECOVERED = "recovered", _("Resolved before it was sent.")
    NOT_VISIBLE = "not_visible", _("Access to the administration was restricted before it was sent.")
    VAULT_KEY = (
        "vault_key",
        _("The secret cannot be decrypted. Your administrator must restore the key."),
    )


def reason_text(reason: str) -> str:
    """Return the reason's text in the active language; '' for none, and an unknown code as it is."""
    return str(WebhookReason(reason).label) if reason in WebhookReason.values else reason
