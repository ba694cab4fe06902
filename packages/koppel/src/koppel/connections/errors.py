"""Errors of connections that a person sees."""

from collections.abc import Mapping

from koppel.connector.errors import NotConsented


class ConsentRefused(Exception):
    """A sign-in that led nowhere. `code` is a stable word, the text a sentence for the person."""

    is_refusal = True

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoSuchConnection(Exception):
    """No such connection, or not one that the actor may use: the two look alike from outside."""

    is_refusal = True


class RegistrationRefused(Exception):
    """An app registration that cannot be kept or removed. `problems` maps a field ('' = the whole) to a sentence."""

    is_refusal = True

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(problems.values()))
        self.problems = problems


class OtherCompany(NotConsented):
    """Name and registration number are both another company's: nothing is read until a person decides."""
