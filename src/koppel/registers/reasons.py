"""Why a company has no COC number."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REASONS: dict[str, str | Promise] = {
    "not_a_company": _("Not a company"),
    "test_demo": _("Test / demo"),
    "not_yet_registered": _("Not registered yet"),
    "foreign_register": _("Foreign register that Koppel does not know"),
    "public_body": _("Public body"),
    "private_person": _("Private person"),
}
