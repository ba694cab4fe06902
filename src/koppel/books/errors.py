"""What the books refuse."""


class UnknownResource(Exception):
    """The books have no such resource."""

    is_refusal = True
