"""The form of a bulk action: its fields in the bar of the list, on the page of a CSV, and the options of its
command.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from koppel.administrations.list.query import NONE
from koppel.kit.web.forms import IdField, IdsField

Choices = Mapping[str, Sequence[tuple[object, str]]]
"""What can be assigned in the actor's organisation, as `queries.assignment_choices` returns it."""
Options = Callable[[Choices], Sequence[tuple[object, str]]]
"""Returns the (value, label) pairs of a field."""


class OptionField(forms.CharField):
    """One of several values; '' leaves the administrations as they are, `none` removes the value (None)."""

    widget = forms.Select

    def __init__(self, *, options: Options, none_label: str | Promise, **arguments: Any) -> None:
        super().__init__(required=False, **arguments)
        self.options, self.none_label = options, none_label

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return None if text == NONE else text

    def show_options(self, choices: Choices) -> None:
        options = [(str(value), label) for value, label in self.options(choices)]
        self.widget.choices = [("", _("No change")), *options, (NONE, self.none_label)]


class RowField(OptionField):
    """The id of one of several rows; else as `OptionField`."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return IdField().clean(text) if text else text


class RowsField(IdsField):
    """The ids of some of several rows, as boxes to tick."""

    widget = forms.CheckboxSelectMultiple  # type: ignore[assignment]

    def __init__(self, *, options: Options, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.options = options

    def show_options(self, choices: Choices) -> None:
        self.widget.choices = [(str(value), label) for value, label in self.options(choices)]


class ActionForm(forms.Form):
    """The base of the forms of bulk actions: each field is named after a parameter of the action."""

    use_required_attribute = False
    option_help: ClassVar[Mapping[str, str]] = {}
    """The help of the command's options, by field; a field without one is no option."""

    def __init__(
        self, data: Any = None, *, prefix: str | None = None, choices: Choices | None = None
    ) -> None:
        super().__init__(data, prefix=prefix, auto_id="%s")
        for field in self.fields.values():
            if choices is not None and isinstance(field, OptionField | RowsField):
                field.show_options(choices)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that were entered, of a valid form; an empty field is none."""
        return {name: value for name, value in self.cleaned_data.items() if value not in ("", [])}
