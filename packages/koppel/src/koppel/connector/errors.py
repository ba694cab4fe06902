"""The closed error taxonomy of the contract: the class says who must act, `code` what happened.

A connector raises no other errors on purpose. `koppel.sync.engine.error_policy` defines the reaction to each
class.
"""

import msgspec
from django.utils.translation import gettext_noop

from koppel.kit.database.text import clean_text
from koppel.kit.web.sentences import in_english, stored_sentence

OTHER_SHAPE = gettext_noop("It has another form than described: %(detail)s.")
DETAIL_LENGTH_MAX = 200
INVALID_GRANT = "invalid_grant"
"""The code of a `ConsentLost` whose grant has ended; any other is about the app registration."""


class ConnectorError(Exception):
    """A failure at the vendor. `code` is stable; `message` is a sentence without secrets, marked with
    `gettext_noop` and with placeholders for the values, such as `%(status)s`.

    `sentence` is what is stored, in no language; `str(error)` is in English.
    """

    requested_pause_seconds: float = 0.0
    """How long the vendor asked for no calls; 0 when it did not."""

    def __init__(self, code: str, message: str = "", **values: str | int) -> None:
        self.code = code
        self.sentence = stored_sentence(message or code, **values)
        super().__init__(in_english(self.sentence))


class ConsentDenied(ConnectorError):
    """The person cancelled, or the vendor refused consent. They can try again."""


class ConsentLost(ConnectorError):
    """The organisation must sign in again.

    The grant has ended (`invalid_grant`, revoked, app secret changed).
    """


class NotConsented(ConnectorError):
    """The consent does not cover this company.

    The organisation or its client must act; other companies of the connection continue.
    """


class SetupMissing(ConnectorError):
    """A role, licence or setting is missing at the vendor for this company. Others continue."""


class RateLimited(ConnectorError):
    """The company waits; no action is required. `retry_after_seconds` counts from the response."""

    def __init__(
        self, code: str, message: str = "", *, retry_after_seconds: float, **values: str | int
    ) -> None:
        super().__init__(code, message, **values)
        self.retry_after_seconds = self.requested_pause_seconds = retry_after_seconds


class Unreachable(ConnectorError):
    """No action is required yet: time-out, refused connection, 5xx, maintenance page.

    Retried with backoff and jitter. `retry_after_seconds` is a guess unless the vendor asked for a pause.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        retry_after_seconds: float = 0,
        requested_pause_seconds: float = 0,
        **values: str | int,
    ) -> None:
        super().__init__(code, message, **values)
        self.retry_after_seconds = max(retry_after_seconds, requested_pause_seconds)
        self.requested_pause_seconds = requested_pause_seconds


class UnexpectedResponse(ConnectorError):
    """The vendor's response contradicts its published description.

    The connector must be corrected; the response is kept as evidence.
    """


def rejection_reason(error: ValueError | msgspec.MsgspecError) -> str:
    """Return why a record is rejected, as it is stored.

    The `ValueError` of a connector holds a stored sentence; one of msgspec is a detail for programmers.
    """
    if isinstance(error, msgspec.MsgspecError):
        return stored_sentence(OTHER_SHAPE, detail=clean_text(str(error), DETAIL_LENGTH_MAX))
    return clean_text(str(error), 2 * DETAIL_LENGTH_MAX)
