"""Checks a fiscal period of a source, and formats it for people.

The API, exports, SQL and URLs keep `YYYYPP`.
"""

import re

from django.utils.translation import gettext_noop

from koppel.kit.web.sentences import stored_sentence

_PERIOD = re.compile("[1-9][0-9]{3}(?!00)[0-9]{2}")
SHOWN_CHARACTERS_MAX = 30


def is_period(text: str) -> bool:
    """Return whether the text is a year of four digits and the number of a period, from 01 to 99."""
    return _PERIOD.fullmatch(text) is not None


def require_period(text: str) -> str:
    """Return the period. Raises `ValueError` when no fiscal year can have it."""
    if not is_period(text):
        sentence = gettext_noop("“%(period)s” is no period of a fiscal year.")
        raise ValueError(stored_sentence(sentence, period=text[:SHOWN_CHARACTERS_MAX]))
    return text


def format_period(period: str) -> str:
    """Return `202611` as `2026-11`.

    A period is not always a month, and a year may have thirteen, so no month is named.
    """
    return f"{period[:4]}-{period[4:]}" if len(period) == 6 and period.isdecimal() else period
