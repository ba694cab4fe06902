"""The form of a person's preferences: each field alone is enough, absent ones stay as they are."""

from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from koppel.kit.web.forms import ChoiceField, FlagField, Form, TextField
from koppel.kit.web.schemas import Input
from koppel.organisations.preference_types import DENSITIES, THEMES, WIDTH_MAX, WIDTH_MIN

COLUMNS_MAX = 50
KEY_LENGTH_MAX = 40
LAYOUT_LENGTH_MAX = 2000
INVALID = _("This layout of a list cannot be read.")


class PreferencesForm(Form[Input]):
    """`list_name` names the list that `columns` (keys in order, separated by points, or one field each) and
    `widths` (`name:220.status:140`) are for. `reset` gives it its default columns.

    No input type: only pages save preferences.
    """

    density = ChoiceField(choices=[(density, density) for density in DENSITIES])
    theme = ChoiceField(choices=[(theme, theme) for theme in THEMES])
    shortcuts = FlagField()
    list_name = TextField(max_length=KEY_LENGTH_MAX)
    columns = TextField(max_length=LAYOUT_LENGTH_MAX)
    widths = TextField(max_length=LAYOUT_LENGTH_MAX)
    reset = FlagField()

    def clean_list_name(self) -> str:
        return _require_key(self.cleaned_data["list_name"]) if self.cleaned_data["list_name"] else ""

    def clean_columns(self) -> list[str] | None:
        """Return the keys in their order, each once; None when the form does not have them."""
        if "columns" not in self.data:
            return None
        texts = self.data.getlist("columns") if hasattr(self.data, "getlist") else [self.data["columns"]]
        keys = [key for text in texts for key in str(text).split(".") if key]
        if len(keys) > COLUMNS_MAX:
            raise ValidationError(INVALID)
        return [_require_key(key) for key in dict.fromkeys(keys)]

    def clean_widths(self) -> dict[str, int] | None:
        if "widths" not in self.data:
            return None
        pairs = [pair.partition(":") for pair in self.cleaned_data["widths"].split(".") if pair]
        if len(pairs) > COLUMNS_MAX:
            raise ValidationError(INVALID)
        return {_require_key(key): _require_width(width) for key, _colon, width in pairs}

    def changes(self) -> dict[str, Any]:
        """Return the preferences that the form has, without layouts. Raises `InvalidForm`."""
        values = self.values_or_refusal()
        changes = {name: values[name] for name in ("density", "theme") if values[name]}
        return changes | ({"shortcuts": values["shortcuts"]} if "shortcuts" in self.data else {})


def _require_key(text: str) -> str:
    if not (text.isidentifier() and text.isascii() and len(text) <= KEY_LENGTH_MAX):
        raise ValidationError(INVALID)
    return text


def _require_width(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and WIDTH_MIN <= int(text[:6]) <= WIDTH_MAX):
        raise ValidationError(INVALID)
    return int(text)
