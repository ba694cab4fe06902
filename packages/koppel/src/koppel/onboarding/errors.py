"""What the wizard refuses."""


class NoSuchFlow(Exception):
    """No such flow, or another person's: the two look alike from outside."""

    is_refusal = True


class FlowExpired(Exception):
    """The flow was left too long. What it had imported stays; it starts again."""

    is_refusal = True


class StepNotReached(Exception):
    """This step lies ahead, or the flow is over."""


class UnknownSystem(Exception):
    """No connector of this name is installed."""
