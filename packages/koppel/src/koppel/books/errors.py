"""Errors that the books app raises."""

from koppel.kit.errors import KoppelError, NotFoundError


class UnknownResource(NotFoundError):
    """The books have no such resource."""

    code = "unknown_resource"


class ReaderRefused(KoppelError):
    """A SQL reader cannot be created or removed; the message says why."""
