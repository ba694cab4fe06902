"""What a program sends over REST."""

from ninja import Schema
from pydantic import ConfigDict


class Input(Schema):
    """The base of every body and of what lies within it: a field that it does not know is refused by name (422)."""

    model_config = ConfigDict(extra="forbid")
