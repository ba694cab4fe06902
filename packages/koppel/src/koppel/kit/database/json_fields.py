"""A JSON column with a declared type: decoded when loaded, checked when stored."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, cast, overload

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import Expression
from django.db.models.fields.json import KeyTransform

Shape = TypeVar("Shape")
Assigned_contra = TypeVar("Assigned_contra", contravariant=True)
Loaded_co = TypeVar("Loaded_co", covariant=True)

MessageValue = str | int | float | bool | None
MessageContext = dict[str, MessageValue]
"""Values of the placeholders in a message, by name."""
MessageFacts = Mapping[str, MessageValue]
"""The same, read-only."""

if TYPE_CHECKING:

    class _JSONField(models.JSONField[Assigned_contra, Loaded_co], Generic[Assigned_contra, Loaded_co]): ...

else:

    class _JSONField(models.JSONField, Generic[Assigned_contra, Loaded_co]): ...


class ShapeMismatch(TypeError):
    """A value does not have the shape of the column that it is assigned to."""


class TypedJSONField(_JSONField[Assigned_contra, Loaded_co]):
    """A JSON column whose values are of `shape`: a `msgspec.Struct`, or a list or dictionary of one.

    Loading ignores unknown fields, so rows of an older version can be read. Storing a value of another shape,
    or one with a field that would be lost, raises `ShapeMismatch`. The database does not know the shape, so
    changing it needs no migration; `default` stays `dict` or `list`, and is converted.
    """

    @overload
    def __init__(
        self: "TypedJSONField[Shape | None, Shape | None]",
        shape: type[Shape],
        *,
        null: Literal[True],
        **options: Any,
    ) -> None: ...
    @overload
    def __init__(self: "TypedJSONField[Shape, Shape]", shape: type[Shape], **options: Any) -> None: ...
    def __init__(self, shape: type[Any], **options: Any) -> None:
        super().__init__(**options)
        self.shape = shape
        self._decoder = msgspec.json.Decoder(shape)

    def clone(self) -> Self:
        _name, _path, arguments, options = self.deconstruct()
        field_type: Any = type(self)  # django-stubs' mypy plugin fails on a call of `type[Self]`
        return cast("Self", field_type(self.shape, *arguments, **options))

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Describe a plain JSON column: migrations need not know the shape."""
        name, _path, arguments, options = super().deconstruct()
        return str(name), "django.db.models.JSONField", list(arguments), dict(options)

    def get_default(self) -> Any:
        default = super().get_default()
        return (
            default if default is None or hasattr(default, "as_sql") else msgspec.convert(default, self.shape)
        )

    def from_db_value(
        self, value: str | None, expression: Expression, connection: BaseDatabaseWrapper
    ) -> Any:
        if value is None or isinstance(expression, KeyTransform):
            return super().from_db_value(value, expression, connection)
        return self._decoder.decode(value)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if value is not None and not hasattr(value, "as_sql"):
            value = to_json(value, self.shape)
        return super().get_db_prep_save(value, connection)


def to_json(value: object, shape: type[Any]) -> Any:
    """Return a value as plain lists and dictionaries.

    Raises `ShapeMismatch` when it does not have this shape.
    """
    plain = _plain(value)
    try:
        restored = msgspec.convert(plain, shape, str_keys=True)
    except msgspec.ValidationError as error:
        raise ShapeMismatch(f"{shape!r}: {error}") from None
    if _plain(restored) != plain:
        raise ShapeMismatch(f"{shape!r} does not hold all of this value.")
    return plain


def to_shape(value: object, shape: type[Shape]) -> Shape:
    """Convert a value that was checked elsewhere to this shape.

    Raises `ShapeMismatch`.
    """
    return msgspec.convert(to_json(value, shape), shape, str_keys=True)


def _plain(value: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def encode(value: object, shape: type[Any]) -> str:
    """Return a value as JSON for an SQL statement.

    Raises `ShapeMismatch` when it does not have this shape.
    """
    return msgspec.json.encode(to_json(value, shape)).decode()
