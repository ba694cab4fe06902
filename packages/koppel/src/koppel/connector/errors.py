"""The closed error taxonomy of the contract: the class says who must act, `code` what happened.

A connector raises no other errors on purpose. `koppel.sync.engine.error_policy` defines the reaction to each
class.
"""

INVALID_GRANT = "invalid_grant"
"""The code of a `ConsentLost` whose grant has ended; any other is about the app registration."""


class ConnectorError(Exception):
    """A failure at the vendor. `code` is stable; `str(error)` is a sentence without secrets."""

    requested_pause_seconds: float = 0.0
    """How long the vendor asked for no calls; 0 when it did not."""

    def __init__(self, code: str, message: str = "", **context: str) -> None:
        super().__init__(message or code)
        self.code = code
        self.context = context


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

    def __init__(self, code: str, message: str = "", *, retry_after_seconds: float, **context: str) -> None:
        super().__init__(code, message, **context)
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
        **context: str,
    ) -> None:
        super().__init__(code, message, **context)
        self.retry_after_seconds = max(retry_after_seconds, requested_pause_seconds)
        self.requested_pause_seconds = requested_pause_seconds


class UnexpectedResponse(ConnectorError):
    """The vendor's response contradicts its published description.

    The connector must be corrected; the response is kept as evidence.
    """
