"""Inputs of the use cases of divisions and templates, from page, REST and command line."""

from typing import Any

from koppel.kit.web.schemas import Input


class DivisionInput(Input):
    """A division. `people` are ids of memberships, all of them; None: as they are."""

    name: str
    archived: bool = False
    people: list[int] | None = None


class TemplateInput(Input):
    """A template with all that it sets."""

    name: str
    settings: dict[str, Any] = {}
    archived: bool = False


class MergeInput(Input):
    """The id of the division or template that stays."""

    into: int
