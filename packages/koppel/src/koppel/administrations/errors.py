"""Errors that the administrations app raises."""

from django.utils.translation import gettext as _

from koppel.kit.errors import NotFoundError


class NoSuchAdministration(NotFoundError):
    """No such administration, or the actor may not see it: both look the same from outside."""


class NoSuchIssue(NotFoundError):
    """No such issue, or the actor may not see it; or no such operation on issues."""


class NoSuchChoice(NoSuchAdministration):
    """A division, template or person that was chosen does not exist any more; `detail` says which."""

    is_about_input = True

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"{_('That division, template or user no longer exists. No changes were made.')} {detail}"
        )
