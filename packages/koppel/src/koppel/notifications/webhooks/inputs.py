"""Inputs of the use cases of webhooks, from page, REST and command line."""

from typing import Annotated

from pydantic import Field

from koppel.kit.web.parameters import ID_MAX
from koppel.kit.web.schemas import Input

RowId = Annotated[int, Field(ge=1, le=ID_MAX)]


class WebhookInput(Input):
    """A webhook. `events` empty: all of them. `divisions` (ids) empty: the whole organisation; else what touches theirs."""

    name: str
    url: str
    events: list[str] = []
    divisions: list[RowId] = []
