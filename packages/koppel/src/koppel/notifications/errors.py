"""Errors that the notifications app raises."""

from koppel.kit.errors import NotFoundError


class NoSuchWebhook(NotFoundError):
    """This webhook does not exist in your organisation."""
