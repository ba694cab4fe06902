"""Text without case and accents, for sorting and searching, equal in Python and PostgreSQL.

The embedded server has neither ICU nor unaccent, so the letters of the supported countries are listed here.
"""

import re
from collections.abc import Callable
from functools import reduce
from operator import and_, or_

from django.db.models import Func, Q, Value
from django.db.models.functions import Concat, Lower

from koppel.kit.database.text import compose

ACCENTED = "àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝŸŠŽ"
PLAIN = "aaaaaaaceeeeiiiinooooooouuuuyysz" * 2
_TABLE = str.maketrans(ACCENTED, PLAIN)
WORDS_MAX = 8
NUMBER_DIGITS_MIN = 7
_NUMBER = re.compile(r"(?:[a-z]{2}[ .-]?)?(\d[\d .\-/]*\d)")
_NO_DIGITS = re.compile(r"\D")
_SEPARATORS = re.compile(r"[ .\-/]")


def normalize_search(text: str) -> str:
    """Return a search text in the form that `Folded` stores."""
    return compose(text).lower().translate(_TABLE)


def search_alternatives(text: str) -> list[list[str]]:
    """Return lists of words; a text matches the search when it contains all words of one list.

    A number is found however it was typed: `580 615 68`, `58.061.568` and `NL58061568` are also `58061568`.
    """
    folded = normalize_search(text).strip()
    words = folded.split()[:WORDS_MAX]
    number = _NUMBER.fullmatch(folded)
    digits = _NO_DIGITS.sub("", number[1]) if number else ""
    return [words, [digits]] if len(digits) >= NUMBER_DIGITS_MIN and [digits] != words else [words]


def is_found(search: str, text: str) -> bool:
    """Return whether a text matches the search, as in the database; a number in it may have separators."""
    folded = normalize_search(text)
    compact = _SEPARATORS.sub("", folded)
    return any(
        all(word in folded or word in compact for word in words) for words in search_alternatives(search)
    )


def search_condition(text: str, contains: Callable[[str], Q]) -> Q:
    """Return the condition of a search; `contains` gives that of one word. An empty search finds all."""
    alternatives = (reduce(and_, map(contains, words), Q()) for words in search_alternatives(text))
    return reduce(or_, alternatives)


def Folded(*names: str) -> Func:
    """Join columns by a space, without case and accents. Immutable, so that it can be a generated column."""
    parts = [part for name in names for part in (name, Value(" "))][:-1]
    text = Concat(*parts) if len(parts) > 1 else parts[0]
    return Func(Lower(text), Value(ACCENTED), Value(PLAIN), function="translate")
