"""Errors that the administrations app raises."""

from koppel.kit.errors import NotFoundError


class NotFound(NotFoundError):
    """No such administration, or the actor may not see it: the two look alike from outside."""
