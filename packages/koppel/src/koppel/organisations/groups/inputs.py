"""Input types of the use cases of divisions and templates, from page, REST and command line."""

from typing import Any

from koppel.kit.web.schemas import Input, Name


class DivisionInput(Input):
    """A division. `people` are the ids of all its members. A field that is None stays unchanged."""

    name: Name
    archived: bool | None = None
    people: list[int] | None = None


class TemplateInput(Input):
    """A template with all its settings. `archived` None leaves it unchanged."""

    name: Name
    settings: dict[str, Any] = {}
    archived: bool | None = None


class MergeInput(Input):
    """The id of the division or template that stays."""

    into: int
