"""The base of use-case inputs, shared by pages, REST and commands."""

from datetime import date
from typing import Annotated, Any

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from koppel.kit.database.text import compose, has_control_characters, has_lone_surrogate
from koppel.kit.web.parameters import ID_MAX, day_of


def _day(value: Any) -> Any:
    """Accept text only: pydantic would also take a number, as seconds since 1970."""
    if value is None or isinstance(value, date):
        return value
    if not isinstance(value, str) or (day := day_of(value)) is None:
        raise PydanticCustomError("day", "Write a day as YYYY-MM-DD.")
    return day


Day = Annotated[date, BeforeValidator(_day)]
RowId = Annotated[int, Field(ge=1, le=ID_MAX)]


def _one_line(text: str) -> str:
    if has_control_characters(text):
        raise PydanticCustomError("control_characters", "Write it in one line, without control characters.")
    return text


OneLine = AfterValidator(_one_line)
"""A name or address: mail would refuse a heading with a line break."""
NAME_LENGTH_MAX = 120
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=NAME_LENGTH_MAX), OneLine]
"""The name of an object. The use case itself refuses an empty one."""


class Input(Schema):
    """The base of every use-case input and REST body.

    One type serves pages, REST and the command line. Unknown fields are refused by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _compose_texts(cls, values: Any) -> Any:
        return _composed(values)


def _composed(value: Any) -> Any:
    """Return the value with every text in it composed (NFC). A lone surrogate is refused: it is no text."""
    if isinstance(value, str):
        if has_lone_surrogate(value):
            raise PydanticCustomError("surrogate", "A text has a character that does not exist.")
        return compose(value)
    if isinstance(value, list):
        return [_composed(item) for item in value]
    if isinstance(value, dict):
        return {name: _composed(item) for name, item in value.items()}
    return value
