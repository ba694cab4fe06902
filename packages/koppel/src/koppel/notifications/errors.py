"""Errors that the notifications app raises."""

from koppel.kit.errors import NotFoundError


class NoSuchWebhook(NotFoundError):
    """No such webhook in the actor's organisation."""
