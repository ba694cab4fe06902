"""Why a message was not accepted or not sent, or why a webhook was disabled."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from koppel.kit import quarantine
from koppel.kit.http.client import NOT_ALLOWED as ADDRESS_NOT_ALLOWED
from koppel.kit.http.client import NOT_CONNECTED as ADDRESS_NOT_CONNECTED


class WebhookReason(models.TextChoices):
    """The value is the stored code, the label the sentence."""

    REFUSED = "refused", _("It did not accept the message.")
    REDIRECTED = "redirected", _("It redirects, which is not followed: enter the address that it leads to.")
    GONE = "gone", _("It answers 410: it is gone for good.")
    UNRESPONSIVE = "unresponsive", _("It accepted nothing for three days.")
    TIMEOUT = "timeout", _("It did not answer in time.")
    NETWORK = "network", _("The connection broke.")
    TOO_LARGE = "too_large", _("Its answer is larger than a webhook's may be.")
    NOT_CONNECTED = ADDRESS_NOT_CONNECTED, _("It cannot be reached.")
    NOT_ALLOWED = (
        ADDRESS_NOT_ALLOWED,
        _(
            "This address is not public. Whoever operates Koppel decides which networks of your own it may "
            "call."
        ),
    )
    DISABLED = "disabled", _("The webhook was switched off.")
    QUARANTINED = quarantine.CODE, _("It waited when Koppel was put into quarantine, so it was not sent.")
    RECOVERED = "recovered", _("It was over before it was told.")
    VAULT_KEY = (
        "vault_key",
        _("Its secret cannot be opened. Whoever operates Koppel has to put the key back."),
    )


def reason_text(reason: str) -> str:
    """Return the reason's text in the active language; '' for none, and an unknown code as it is."""
    return str(WebhookReason(reason).label) if reason in WebhookReason.values else reason
