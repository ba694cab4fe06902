"""Errors that the connections app raises."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from koppel.connector.errors import NotConsented
from koppel.kit.errors import KoppelError, NotFoundError


class ConsentRefused(KoppelError):
    """A sign-in at the accounting system failed or cannot begin. Its code says which of the ways."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoSuchConnection(NotFoundError):
    """This connection does not exist, or you have no access to it."""


class NoSuchAppRegistration(NotFoundError):
    """This app registration does not exist, or you have no access to it."""


class TooManyCompanies(KoppelError):
    """More companies were added to an app than may wait to be imported."""

    code = "too_many_companies"

    def __init__(self, waiting: int, limit: int) -> None:
        sentence = _(
            "%(waiting)d added administrations have not been imported; at most %(limit)d may wait. "
            "Import or remove some first."
        )
        super().__init__(sentence % {"waiting": waiting, "limit": limit})


class RegistrationRefused(KoppelError):
    """An app registration cannot be stored or removed.

    `problems` maps a field ('' = the whole) to a message.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems

    @property
    def details(self) -> Mapping[str, Any]:
        return {"message": self.message, "fields": dict(self.problems)}


class OtherRegisterName(KoppelError):
    """The register knows a new number by another name: a person must say that it is the same company."""

    code = "other_register_name"

    def __init__(self, name: str, number: str, register_name: str) -> None:
        sentence = _("%(name)s: in the register, number %(number)s belongs to “%(register)s”.")
        values = {"name": name, "number": number, "register": register_name}
        self.values = (name, number, register_name)
        question = _("Is this the same company?")
        super().__init__(f"{sentence % values} {question}", field="same_company")


class OtherCompany(NotConsented):
    """Name and registration number are both another company's: nothing is read until a person decides."""
