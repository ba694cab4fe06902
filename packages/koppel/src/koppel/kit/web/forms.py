"""Forms of pages: fields with the types that use cases take, and one way to call a use case with what was
typed.

    form = DivisionForm.of(request)
    with form.refusals():
        division = divisions.create_division(request.actor, form.input)
        return HttpResponseRedirect(…)
    return render(request, …, {"form": form})

The last line is reached when a field cannot be read or the use case refuses: the form then says so at its
field. A view reads nothing but `form.input`, or `form.values` where no use case has an input type.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from pydantic import ValidationError as InputError

from koppel.kit.database.text import compose, has_control_characters
from koppel.kit.errors import KoppelError, sentence_of
from koppel.kit.tabular.reader import TableError, decode
from koppel.kit.web.parameters import LIST_ENTRIES_MAX, day_of, id_of, shorten
from koppel.kit.web.schemas import Input

InputT = TypeVar("InputT", bound=Input)
ValueT = TypeVar("ValueT")
TEXT_LENGTH_MAX = 200


class Invalid(Exception):
    """The input cannot be read; the form has the reasons. It never leaves `Form.refusals`."""


class InvalidForm(KoppelError):
    """A form that cannot be read, and that no page shows again."""

    code = "invalid"
    status = HTTPStatus.UNPROCESSABLE_ENTITY

    def __init__(self, form: forms.Form) -> None:
        super().__init__(_error_text(form))


def _error_text(form: forms.Form) -> str:
    return " ".join(str(message) for messages in form.errors.values() for message in messages)


class Form(forms.Form, Generic[InputT]):
    """A form whose cleaned values are the input of one use case."""

    input_type: ClassVar[type[Input]] = Input
    """The type of the use case's input. A form without one says why in its docstring: `No input type: …`."""
    use_required_attribute = False

    @classmethod
    def of(cls, request: HttpRequest, *args: Any, initial: dict[str, Any] | None = None) -> Self:
        """Return the form of a page: bound to what was sent by POST, else with the `initial` values.

        `args` are further arguments of the form.
        """
        if request.method != "POST":
            return cls(None, *args, initial=initial)  # type: ignore[misc]
        return cls(request.POST, *args, files=request.FILES, initial=initial)  # type: ignore[misc]

    @property
    def values(self) -> dict[str, Any]:
        """The cleaned values. Raises `Invalid`."""
        if not self.is_valid():
            raise Invalid
        return self.cleaned_data

    @property
    def input(self) -> InputT:
        """The use case's input. Raises `Invalid`; what the input type refuses is then an error at its
        field.
        """
        try:
            return cast("InputT", self.input_type(**self.input_values()))
        except InputError as error:
            for detail in error.errors():
                self.show_error(sentence_of(detail), str(detail["loc"][0]) if detail["loc"] else "")
            raise Invalid from None

    def input_or_refusal(self) -> InputT:
        """Return the use case's input, for a button whose page has no place for errors of its own. Raises
        `InvalidForm`.
        """
        try:
            return self.input
        except Invalid:
            raise InvalidForm(self) from None

    def values_or_refusal(self) -> dict[str, Any]:
        """Return the cleaned values, for a button whose page has no place for errors of its own. Raises
        `InvalidForm`.
        """
        if not self.is_valid():
            raise InvalidForm(self)
        return self.cleaned_data

    def input_values(self) -> Mapping[str, Any]:
        """Return the input's values by name: the cleaned ones, unless a form shapes them. Raises
        `Invalid`.
        """
        return self.values

    @property
    def error_text(self) -> str:
        """All errors in one line, for a page without a place for them."""
        return _error_text(self)

    def show_error(self, message: str, field: str = "") -> None:
        """Show a message at a field; at the head of the form when it has no such field."""
        self.add_error(field if field in self.fields else None, message)

    def show_refusal(self, error: KoppelError) -> None:
        """Show what the use case refused. A form overrides it for an error that names several fields."""
        self.show_error(error.message, error.field)

    def refusals(self) -> "Refusals":
        """Show at the form what the block refuses, and roll back what it wrote. Errors that are not about the
        input propagate to the page's error handler.
        """
        return Refusals(self)


class Refusals:
    """A block in one transaction whose refusals a form shows; see `Form.refusals`."""

    def __init__(self, form: Form[Any]) -> None:
        self._form = form
        self._transaction = transaction.atomic()

    def __enter__(self) -> None:
        self._transaction.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._transaction.__exit__(kind, error, traceback)
        if isinstance(error, KoppelError) and error.is_about_input:
            self._form.is_valid()
            self._form.show_refusal(error)
            return True
        return isinstance(error, Invalid)


class TextField(forms.CharField):
    """A text of one line, stripped; '' when nothing is typed. A control character is an error."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "control_characters": _("Write it in one line, without control characters.")
    }

    def __init__(self, *, max_length: int = TEXT_LENGTH_MAX, required: bool = False, **options: Any) -> None:
        super().__init__(max_length=max_length, required=required, **options)

    def to_python(self, value: Any) -> Any:
        """Return the text composed (NFC)."""
        text = super().to_python(value)
        if not isinstance(text, str):
            return text
        if has_control_characters(text):
            raise ValidationError(self.error_messages["control_characters"], code="control_characters")
        return compose(text)


class IdField(forms.CharField):
    """The id of a row; None when nothing is chosen."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": _("“%(value)s” is not one of the options.")
    }

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        super().__init__(required=required, **options)

    def to_python(self, value: Any) -> Any:
        return _parse(self, str(value), id_of) if value else None


class IdsField(forms.Field):
    """Ids of rows, each once, in the order in which they came; a text of several is separated by commas."""

    widget = forms.MultipleHiddenInput
    default_error_messages: ClassVar[dict[str, Any]] = {
        **IdField.default_error_messages,
        "too_many": _("Select at most %(count)s at once."),
    }

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        super().__init__(required=required, **options)

    def to_python(self, value: Any) -> list[int]:
        texts = [part for text in value or () for part in str(text).split(",") if part]
        if len(texts) > LIST_ENTRIES_MAX:
            raise ValidationError(
                self.error_messages["too_many"], code="too_many", params={"count": LIST_ENTRIES_MAX}
            )
        return list(dict.fromkeys(_parse(self, text, id_of) for text in texts))


class FlagField(forms.CharField):
    """A ticked box that sends `1`; absent, empty or `0` means no."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": _("“%(value)s” is not valid for a tick box.")
    }
    widget = forms.TextInput  # a CheckboxInput takes any text for a tick

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, **options)

    def to_python(self, value: Any) -> Any:
        if value in (True, "1", "on"):
            return True
        if value in (False, None, "", "0"):
            return False
        raise ValidationError(self.error_messages["invalid"], params={"value": shorten(str(value))})


class ChoiceField(forms.ChoiceField):
    """One of a few values; '' when none is chosen and none is required."""

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        super().__init__(required=required, **options)


class ChoicesField(forms.MultipleChoiceField):
    """Some of a few words."""

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        super().__init__(required=required, **options)


class DayField(forms.CharField):
    """A date as 2026-12-31; None when nothing is typed."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": _("“%(value)s” is not a date. Use the format 2026-12-31.")
    }

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        super().__init__(required=required, **options)

    def to_python(self, value: Any) -> Any:
        return _parse(self, str(value).strip(), day_of) if value else None


class MomentField(forms.CharField):
    """A time with its zone, in ISO 8601, as the page itself writes it; None for an empty field."""

    default_error_messages: ClassVar[dict[str, Any]] = {
        "invalid": _("“%(value)s” is not a time with a time zone.")
    }
    widget = forms.HiddenInput

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        super().__init__(required=required, **options)

    def to_python(self, value: Any) -> Any:
        return _parse(self, str(value).strip(), moment_of) if value else None


class TextFileField(forms.FileField):
    """An uploaded file of text; its text, decoded as `koppel.kit.tabular.reader.decode` does, and '' without
    a file. What `decode` refuses is an error of the field.
    """

    def __init__(self, *, bytes_max: int, too_large: str | Promise) -> None:
        super().__init__(required=False, allow_empty_file=True)
        self._bytes_max, self._too_large = bytes_max, too_large

    def clean(self, data: Any, initial: Any = None) -> str:
        upload = super().clean(data, initial)
        if not upload:
            return ""
        if (upload.size or 0) > self._bytes_max:
            raise ValidationError(str(self._too_large), code="too_large")
        try:
            return decode(upload.read())
        except TableError as error:
            raise ValidationError(str(error), code=error.problem.value) from None


def moment_of(text: str) -> datetime | None:
    """Return an aware time, or None."""
    try:
        moment = parse_datetime(text)
    except ValueError:
        return None
    return moment if moment is not None and timezone.is_aware(moment) else None


def _parse(field: forms.Field, text: str, parse: Callable[[str], ValueT | None]) -> ValueT:
    value = parse(text)
    if value is None:
        raise ValidationError(field.error_messages["invalid"], params={"value": shorten(text)})
    return value


class ReturnForm(Form[Input]):
    """The page to which a button leads back. No input type: only pages have such buttons."""

    next = TextField(max_length=2000)


def return_url(request: HttpRequest, fallback: str) -> str:
    """Return the page of Koppel that the form names in `next`; else `fallback`."""
    form = ReturnForm(request.POST)
    url = form.cleaned_data["next"] if form.is_valid() else ""
    return url if url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}) else fallback
