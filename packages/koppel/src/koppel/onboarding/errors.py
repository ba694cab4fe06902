"""Errors that the wizard raises."""

from http import HTTPStatus

from koppel.kit.errors import KoppelError, NotFoundError


class NoSuchFlow(NotFoundError):
    """No such flow, or another person's: both look the same from outside."""


class FlowExpired(KoppelError):
    """The flow was left too long; a new one must be started. Administrations imported by it stay."""

    code = "expired"
    status = HTTPStatus.GONE


class StepNotReached(KoppelError):
    """This step is not reached yet, or the flow is over."""

    code = "not_reached"


class UnknownSystem(NotFoundError):
    """No connector of this name is installed."""

    code = "unknown_system"
