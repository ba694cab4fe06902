"""The input types of use cases, for pages, REST and commands alike."""

from datetime import date
from typing import Annotated, Any

from django.utils.translation import gettext_lazy as _
from ninja import Schema
from pydantic import BeforeValidator, ConfigDict
from pydantic_core import ErrorDetails, PydanticCustomError

from koppel.kit.web.parameters import day_of


def _day(value: Any) -> Any:
    """Accept text only: pydantic would also take a number, as seconds since 1970."""
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str) or (day := day_of(value)) is None:
        raise PydanticCustomError("day", "Write a day as YYYY-MM-DD.")
    return day


Day = Annotated[date, BeforeValidator(_day)]


class Input(Schema):
    """The base of a use case's input and of every REST body: one type for page, REST and command line. An
    unknown field is refused by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


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
