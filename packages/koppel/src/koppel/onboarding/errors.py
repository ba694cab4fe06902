"""Errors that the wizard raises."""

from http import HTTPStatus

from koppel.kit.errors import KoppelError, NotFoundError


class NoSuchFlow(NotFoundError):
    """This import does not exist, or is another person's."""


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
