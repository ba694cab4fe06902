"""The base of use-case inputs, shared by pages, REST and commands."""

from datetime import date
from typing import Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from koppel.kit.database.text import compose, has_control_characters, has_lone_surrogate
from koppel.kit.web.parameters import ID_MAX, LIST_ENTRIES_MAX, day_of


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


NESTING_MAX = 30
"""Objects and lists within each other in a request; the deepest input has four."""


class Input(BaseModel):
    """The base of every use-case input and REST body.

    One type serves pages, REST and the command line. Unknown fields are refused by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _compose_texts(cls, values: Any) -> Any:
        return _composed(values)

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a JSON true where a number is meant: pydantic would take it for the row with id 1."""
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, bool) for item in items):
            types = _types_in(cls.model_fields[info.field_name or ""].annotation)
            if int in types and bool not in types:
                raise PydanticCustomError("int_type", "Write a whole number.")
        return value


def _types_in(annotation: Any) -> set[type]:
    """Return the types that an annotation is made of: int and None for `list[int] | None`."""
    types = {annotation} if isinstance(annotation, type) else set()
    return types.union(*map(_types_in, get_args(annotation)))


def _composed(value: Any, depth: int = 0) -> Any:
    """Return the value with every text in it composed (NFC). Refused are a lone surrogate, which is no text,
    a list that is too long, and what is nested too deeply.
    """
    if depth > NESTING_MAX:
        raise PydanticCustomError("nesting", "Its objects and lists are nested too deeply.")
    if isinstance(value, str):
        if has_lone_surrogate(value):
            raise PydanticCustomError("surrogate", "A text has a character that does not exist.")
        return compose(value)
    if isinstance(value, list):
        if len(value) > LIST_ENTRIES_MAX:
            raise PydanticCustomError(
                "too_long", "A list has at most {entries} entries.", {"entries": LIST_ENTRIES_MAX}
            )
        return [_composed(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {name: _composed(item, depth + 1) for name, item in value.items()}
    return value
