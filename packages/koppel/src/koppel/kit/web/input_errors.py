"""Messages for the input that a use case refuses. Commands use them before Django has its settings, so nothing here needs
django-ninja."""

from django.utils.translation import gettext_lazy as _
from pydantic_core import ErrorDetails

_SENTENCES = {
    "missing": _("This is needed."),
    "string_too_short": _("Write at least %(min_length)s characters."),
    "string_too_long": _("Write at most %(max_length)s characters."),
    "too_short": _("Choose at least %(min_length)s."),
    "too_long": _("Choose at most %(max_length)s."),
    "greater_than_equal": _("This must be at least %(ge)s."),
    "less_than_equal": _("This must be at most %(le)s."),
    "literal_error": _("This is not one of the choices."),
    "enum": _("This is not one of the choices."),
}


def sentence_of(error: ErrorDetails) -> str:
    """Return why a field's value is refused, in the reader's language."""
    sentence = _SENTENCES.get(error["type"])
    return str(sentence) % error.get("ctx", {}) if sentence else error["msg"].removeprefix("Value error, ")
