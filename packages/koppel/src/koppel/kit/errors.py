"""The base of every error that a user, a program or an operator is to read."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.utils.functional import Promise


class KoppelError(Exception):
    """A request that Koppel refuses, with a sentence for the reader. Each interface handles it in one place:

    - pages: `koppel.web.auth.refusals`; a form catches it earlier to show it at its field (`koppel.kit.web.forms`),
    - REST: `koppel.api.v1` answers `{"error": code, **details}` with `status`,
    - command line: `koppel.kit.cli.errors` prints the message and ends with exit code 2.

    It is an outcome, not an alarm: it is never logged as an error. What a request has written before is rolled back."""

    code: str = "refused"
    """A stable word for programs."""
    status: HTTPStatus = HTTPStatus.CONFLICT
    field: str
    """The field of the input that is at fault; '' when it is the request as a whole."""

    def __init__(self, message: str | Promise = "", *, field: str = "") -> None:
        super().__init__(message)
        self.field = field

    @property
    def message(self) -> str:
        """The sentence in the reader's language; '' when the code says all that may be said."""
        return str(self)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that HTTP wants with the status, such as `Retry-After`."""
        return {}

    @property
    def details(self) -> Mapping[str, Any]:
        """What REST says beside the code."""
        details = {"message": self.message} if self.message else {}
        return details | ({"field": self.field} if self.field else {})


class NotFoundError(KoppelError):
    """It does not exist, or the actor may not see it: the two look alike from outside."""

    code = "not_found"
    status = HTTPStatus.NOT_FOUND
