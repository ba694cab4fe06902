"""Errors that the organisation app raises."""

from collections.abc import Mapping
from http import HTTPStatus

from koppel.kit.errors import KoppelError, NotFoundError


class NotAllowed(KoppelError):
    """The actor's role lacks the permission."""

    code = "not_allowed"
    status = HTTPStatus.FORBIDDEN

    def __init__(self, permission: str) -> None:
        super().__init__(f"Your role does not allow this ({permission}).")
        self.permission = permission

    @property
    def details(self) -> Mapping[str, str]:
        return {"permission": self.permission}


class RecentSignInRequired(KoppelError):
    """The session was opened too long ago for this action; the person signs in again."""

    code = "recent_sign_in_required"
    status = HTTPStatus.FORBIDDEN


class Refused(KoppelError):
    """The rules forbid it; the message says why."""


class NoSuchMember(NotFoundError):
    """No such person in the actor's organisation."""


class NoSuchDomain(NotFoundError):
    """No such e-mail domain in the actor's organisation."""


class NoSuchGroup(NotFoundError):
    """No such division or template in the actor's organisation; the message says which."""
