"""The reasons for having no company number."""

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LANGUAGES = ("en", "nl")
REASONS: dict[str, str | Promise] = {
    "not_a_company": _("Not a company"),
    "test_demo": _("Test / demo"),
    "not_yet_registered": _("Not registered yet"),
    "foreign_register": _("Foreign register not known to Koppel"),
    "public_body": _("Public body"),
    "private_person": _("Private person"),
}


def resolve_reason(text: str) -> str:
    """Return the reason with this key or label in either language; '' when there is none."""
    normalized = text.strip().casefold()
    if normalized in REASONS:
        return normalized
    for language in LANGUAGES:
        with translation.override(language):
            for key, label in REASONS.items():
                if normalized and normalized == str(label).casefold():
                    return key
    return ""
