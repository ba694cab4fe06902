"""The closed error taxonomy of the contract: the class says who must act, `code` says what happened.

A connector raises nothing else on purpose. The reaction to each class stands in one table,
`koppel.sync.engine.error_policy`.
"""


class ConnectorError(Exception):
    """What a vendor did to us. `code` is a stable word; `str(error)` is a sentence without secrets.

    `requested_pause_seconds`: the vendor asked for no call before so long; 0 when it did not."""

    requested_pause_seconds: float = 0.0

    def __init__(self, code: str, message: str = "", **context: str) -> None:
        super().__init__(message or code)
        self.code = code
        self.context = context


class ConsentDenied(ConnectorError):
    """The person pressed cancel, or the vendor refused consent. They can try again."""


class ConsentLost(ConnectorError):
    """The firm must sign in again: the grant is dead (`invalid_grant`, revoked, app secret changed)."""


class NotConsented(ConnectorError):
    """This company is not within the consent. The firm or its client must act; siblings go on."""


class SetupMissing(ConnectorError):
    """A role, licence or setting is missing at the vendor for this company. Siblings go on."""


class RateLimited(ConnectorError):
    """Nobody has to act: this company waits. `retry_after_seconds` counts from the answer."""

    def __init__(self, code: str, message: str = "", *, retry_after_seconds: float, **context: str) -> None:
        super().__init__(code, message, **context)
        self.retry_after_seconds = self.requested_pause_seconds = retry_after_seconds


class Unreachable(ConnectorError):
    """Nobody has to act yet: time-out, refused connection, 5xx, maintenance page. Back off with jitter.

    `retry_after_seconds` is a guess, where the vendor asked for no pause."""

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
    """The vendor answered something that the published description
    excludes. We must act; evidence is kept."""
