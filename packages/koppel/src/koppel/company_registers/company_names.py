"""Company names in the form in which two are compared."""

import re
import unicodedata

_LEGAL_FORMS = (
    "bv",
    "nv",
    "vof",
    "cv",
    "ua",
    "ba",
    "stichting",
    "as",
    "asa",
    "ans",
    "da",
    "ab",
    "hb",
    "kb",
    "aps",
    "oy",
    "oyj",
    "ky",
    "aktiebolag",
    "aktieselskab",
    "anpartsselskab",
    "osakeyhtio",
    "gmbh",
    "ag",
    "ug",
    "kg",
    "ltd",
    "limited",
    "plc",
    "llp",
    "sa",
    "sarl",
    "sas",
    "srl",
    "sprl",
    "bvba",
)
_DOTTED = re.compile(r"\b(\w(?:[./]\s?\w\b)+\.?)")
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d"})


def _is_word_character(letter: str) -> bool:
    """Return whether the character belongs to a word. Marks do too: in many scripts they are the vowels."""
    return letter.isalnum() or unicodedata.category(letter)[0] == "M"


def name_without_legal_form(name: str) -> str:
    """Return the words of a name for comparison: without capitals, accents, signs and the legal form.

    Books often leave the legal form out.
    """
    plain = unicodedata.normalize("NFKD", name.casefold()).translate(_LETTERS)
    plain = "".join(letter for letter in plain if not "\u0300" <= letter <= "\u036f")
    text = _DOTTED.sub(lambda found: re.sub(r"[./\s]", "", found[1]), plain)
    tokens = "".join(letter if _is_word_character(letter) else " " for letter in text).split()
    return " ".join(word for word in tokens if word not in _LEGAL_FORMS) or " ".join(tokens)
