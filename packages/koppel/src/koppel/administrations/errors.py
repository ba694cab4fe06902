"""What the administrations app refuses."""


class NotFound(Exception):
    """No such administration, or the actor may not see it: the two look alike from outside."""

    is_refusal = True
