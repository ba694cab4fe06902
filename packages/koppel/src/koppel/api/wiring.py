"""Add the description of the API to a person's own account. Imported once, by `AppConfig.ready`."""

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from koppel.organisations import hooks as organisation_hooks
from koppel.organisations.hooks import AccountTab


def _reference_url() -> str:
    return reverse("api_reference")


organisation_hooks.account_tabs.register("api", AccountTab(_("API"), "api_reference"))
organisation_hooks.api_reference_url.register(_reference_url)
