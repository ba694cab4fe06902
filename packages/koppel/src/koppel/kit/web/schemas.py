"""What a program sends over REST."""

from datetime import date
from typing import Annotated, Any

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict
from pydantic_core import PydanticCustomError

from koppel.kit.web.parameters import day_of


def _day(value: Any) -> Any:
    """By itself a number would do too, as seconds since 1970."""
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str) or (day := day_of(value)) is None:
        raise PydanticCustomError("day", "Write a day as YYYY-MM-DD.")
    return day


Day = Annotated[date, BeforeValidator(_day)]


class Input(Schema):
    """The base of every body and of what lies within it: a field that it does not know is refused by name (422)."""

    model_config = ConfigDict(extra="forbid")
