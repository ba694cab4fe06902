"""What the use case of the organisation itself takes."""

from typing import Any

from koppel.kit.web.schemas import Input


class OrganisationInput(Input):
    """The name, and all settings beneath every template: what is left out is not set."""

    name: str
    settings: dict[str, Any] = {}
