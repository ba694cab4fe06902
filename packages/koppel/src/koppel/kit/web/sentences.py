"""Sentences whose values were stored without a language."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def fill(template: str | Promise, values: Mapping[str, Any]) -> str:
    """Fill values into a sentence in the active language: `%(name)s`, and a dash for a missing one.

    A `reason` is translated and a day formatted. No second full stop follows a name such as `B.V.`
    """
    localized = {name: _localize(name, value) for name, value in values.items()}
    filled: str = template % _DashForMissing(localized)  # type: ignore[operator, unused-ignore]
    return re.sub(r"(?<!\.)\.\.(?=\s|$)", ".", filled)


def _localize(name: str, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return value
    if name == "reason":
        return gettext(value)
    return date_format(date.fromisoformat(value), "SHORT_DATE_FORMAT") if _DAY.fullmatch(value) else value


class _DashForMissing(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "–"
