"""What the books refuse."""


class UnknownResource(Exception):
    """The books have no such resource."""

    is_refusal = True


class ReaderRefused(Exception):
    """A role that reads by SQL cannot be made or removed, with a sentence why."""

    is_refusal = True
