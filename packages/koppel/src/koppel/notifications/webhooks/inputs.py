"""Inputs of the use cases of webhooks, from page, REST and command line."""

from typing import Annotated

from pydantic import StringConstraints

from koppel.kit.web.schemas import Input, OneLine, RowId

NAME_LENGTH_MAX = 100
WebhookName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=NAME_LENGTH_MAX), OneLine]


class WebhookInput(Input):
    """A webhook. `events` empty: all of them. `divisions` (ids) empty: the whole organisation; else what
    touches theirs.
    """

    name: WebhookName
    url: str
    events: list[str] = []
    divisions: list[RowId] = []


class RedeliverInput(Input):
    """The messages to send again; none: all that failed."""

    ids: list[RowId] | None = None
