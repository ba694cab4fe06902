"""Reasons why the embedded server cannot run.

Each message is one sentence for the person who started Koppel.
"""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot be started; the message says why and what to do."""


class BinariesMissing(EmbeddedPostgresError):
    """No PostgreSQL was installed with Koppel and none is on the path."""


class DataDirectoryInUse(EmbeddedPostgresError):
    """Another running Koppel owns this data directory: `process` is its id."""

    def __init__(self, message: str, process: str) -> None:
        super().__init__(message)
        self.process = process


class OtherMajorVersion(EmbeddedPostgresError):
    """The data was written by another major version of PostgreSQL. Nothing was changed."""


class NoUnprivilegedUser(EmbeddedPostgresError):
    """Koppel runs as root, and neither another account nor a user namespace can run the server."""


class StartFailed(EmbeddedPostgresError):
    """The server did not start. The message contains the end of its log."""
