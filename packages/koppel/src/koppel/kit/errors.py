"""The base of all errors that users, API clients or operators see, and messages for refused input.

Commands import this before Django's settings are configured, so it must not import django-ninja.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError as InputError
from pydantic_core import ErrorDetails


class KoppelError(Exception):
    """A request that Koppel refuses, with a sentence for the reader.

    Each interface handles it in one place:

    - pages: `koppel.web.auth.refusals`; a form catches it earlier to
      show it at its field (`koppel.kit.web.forms`),
    - REST: `koppel.api.v1` answers `{"error": code, **details}` with `status`,
    - command line: `koppel.cli.commands.refusals` prints the message and ends with exit code 2.

    It is an outcome, not an alarm: it is never logged as an error. What a request has written before is
    rolled back.
    """

    code: str = "refused"
    """A stable code for programs."""
    status: HTTPStatus = HTTPStatus.CONFLICT
    field: str
    """The invalid field of the input; '' for the request as a whole."""

    def __init__(self, message: str | Promise = "", *, field: str = "") -> None:
        super().__init__(message)
        self.field = field

    @property
    def is_about_input(self) -> bool:
        """Return whether a form can show the error.

        It can if the input is invalid, but not if the page or the actor's permission is missing.
        """
        return self.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)

    @property
    def message(self) -> str:
        """The message in the reader's language; '' when the code is sufficient."""
        return str(self)

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers that belong to the status, such as `Retry-After`."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """Members of the REST response besides the code."""
        details = {"message": self.message} if self.message else {}
        return details | ({"field": self.field} if self.field else {})


class NotFoundError(KoppelError):
    """The object does not exist, or the actor may not see it; both get the same response."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND


_SENTENCES = {
    "control_characters": _("Write it in one line, without control characters."),
    "surrogate": _("A text has a character that does not exist."),
    "missing": _("This field is required."),
    "string_too_short": _("Enter at least %(min_length)s characters."),
    "string_too_long": _("Enter at most %(max_length)s characters."),
    "too_short": _("Choose at least %(min_length)s."),
    "too_long": _("Choose at most %(max_length)s."),
    "greater_than_equal": _("Enter a value of at least %(ge)s."),
    "less_than_equal": _("Enter a value of at most %(le)s."),
    "literal_error": _("Choose one of the options."),
    "enum": _("Choose one of the options."),
}


def sentence_of(error: ErrorDetails) -> str:
    """Return in the reader's language why a field's value is refused."""
    sentence = _SENTENCES.get(error["type"])
    return str(sentence) % error.get("ctx", {}) if sentence else error["msg"].removeprefix("Value error, ")


def refusal_text(error: KoppelError | InputError) -> str:
    """Return all errors in one line, with the names of an input's fields.

    Without a message, the first line of the error's docstring is used.
    """
    if isinstance(error, InputError):
        return " ".join(f"{'.'.join(map(str, part['loc']))}: {sentence_of(part)}" for part in error.errors())
    return error.message or (type(error).__doc__ or "").partition("\n")[0]
