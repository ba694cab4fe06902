"""Inputs of the use cases of syncs, from page, REST and command line."""

from typing import Annotated, Literal

from pydantic import Field

from koppel.kit.web.schemas import Input
from koppel.organisations.settings_schema import RESOURCES

Resource = Literal[RESOURCES]  # type: ignore[valid-type]  # the keys of a table


class SyncInput(Input):
    """A sync to start. `resources` None: all that the settings name; an empty list is refused. `full`: read
    everything again and find what was deleted."""

    full: bool = False
    resources: Annotated[list[Resource], Field(min_length=1)] | None = None
