"""Errors that the administrations app raises."""

from django.utils.translation import gettext as _

from koppel.kit.errors import NotFoundError


class NoSuchAdministration(NotFoundError):
    """This administration does not exist, or you have no access to it."""


class NoSuchIssue(NotFoundError):
    """This issue or this operation on issues does not exist, or you have no access to it."""


class NoSuchChoice(NoSuchAdministration):
    """A division, template or person that was chosen does not exist any more; `detail` says which."""

    is_about_input = True

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{_('That division, template or user no longer exists. No changes were made.')} {detail}"
        )
