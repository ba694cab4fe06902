"""What the wizard refuses."""


class NoSuchFlow(Exception):
    """No such flow, or another person's: the two look alike from outside."""


class FlowExpired(Exception):
    """The flow was left too long. What it had imported stays; it starts again."""
