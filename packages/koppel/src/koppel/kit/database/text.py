"""Text that people type and systems send, in the one form in which it is stored, searched and compared.

Unicode writes é as one character or as e with an accent behind it. macOS and some accounting systems send the
second; everything here is in the first, NFC.
"""

import re
import unicodedata

_CONTROL = re.compile("[\x01-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Also the separators and directions of Unicode, with which a name could look like another one. NUL has an
error of its own.
"""
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
DISPLAY_CHARACTERS_MAX = 400
"""A name of another system, which pages repeat in lists. The longest legal names have some 300."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def compose(text: str) -> str:
    """Return the text in Unicode's composed form, NFC; U+FFFD for a lone surrogate, which no file or table
    can hold.
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _LONE_SURROGATE.sub("\ufffd", text))


def has_lone_surrogate(text: str) -> bool:
    return _LONE_SURROGATE.search(text) is not None


def has_control_characters(text: str) -> bool:
    """Return whether a text has line breaks or other characters that a name or a heading cannot have."""
    return _CONTROL.search(text) is not None


def clean_text(text: str, length_max: int | None = None) -> str:
    """Return the text composed, without NUL, which PostgreSQL cannot store, without space around it, and cut
    to `length_max`.
    """
    return compose(text).replace("\0", "").strip()[:length_max]


def display_text(text: str, length_max: int = DISPLAY_CHARACTERS_MAX) -> str:
    """Return a text of another system as pages can show it: composed, a blank for each control or direction
    character, without space around it, and at most `length_max` characters, of which the last is then …
    """
    clean = _INVISIBLE.sub(" ", compose(text[: length_max * 4])).strip()
    return clean if len(clean) <= length_max else f"{clean[: length_max - 1]}…"
