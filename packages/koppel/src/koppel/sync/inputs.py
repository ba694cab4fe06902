"""Inputs of the sync use cases, shared by pages, REST and the command line."""

from typing import Annotated, Literal

from pydantic import Field

from koppel.kit.web.schemas import Input
from koppel.organisations.settings_schema import RESOURCES

Resource = Literal[RESOURCES]  # type: ignore[valid-type]  # the keys of a table


class SyncInput(Input):
    """A sync to start.

    `resources` None means all that the settings include; an empty list is refused. `full`: read everything
    again and find deletions.
    """

    full: bool = False
    resources: Annotated[list[Resource], Field(min_length=1)] | None = None
