"""German register numbers: a court, a register and a number, in any order and spelling.

A number counts only with its court, so that a court is kept as it was typed where python-stdnum does not know
it.
"""

import re

from django.utils.translation import gettext_lazy as _
from stdnum import exceptions
from stdnum.de import handelsregisternummer

from koppel.company_registers.numbers.check_result import NumberCheck, NumberNote, doubtful, invalid, valid

_REGISTER = re.compile(
    r"(?<![^\W\d_])(?P<register>H\.?\s?R\.?\s?[AB]|GN\.?R|VR|PR)\.?(?:[\s.:\-]*(?:NUMMER|NR|NO|N°)\b)?[\s.:\-–#]*"
    r"(?P<number>\d(?:[\d.\s]{0,6}\d)?)(?P<qualifier>\s?(?!AG\b)[A-ZÖ]{1,2}(?![^\W_]))?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"\b(?:(?:BEIM|DES|IM)\s+)?(?:AMTSGERICHTS?|REGISTERGERICHT|HANDELSREGISTER(?:NUMMER)?|REGISTERNUMMER|"
    r"REG\.?-?\s?NR\.?|EINGETRAGEN|AG)\b[.:]?",
    re.IGNORECASE,
)
_PLAIN = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def check_german_number(compact_number: str, typed: str) -> NumberCheck:
    """Check a register number with its court, before or behind it."""
    if re.fullmatch(r"(DE|UST-?ID-?NR|UST-?ID)?DE\d{9}", compact_number):
        message = _(
            "This is a VAT number. Enter the register number instead, with its court: “München HRB 12345”."
        )
        return invalid(compact_number, "DE", NumberNote.VAT_NUMBER, message)
    if not (match := _REGISTER.search(typed)):
        return invalid(
            compact_number,
            "DE",
            NumberNote.FORMAT,
            _("A register number looks like “München HRB 12345”: court, register, number."),
        )
    number = _register_number(match)
    court = _court(typed[: match.start()]) or _court(typed[match.end() :])
    if not court:
        message = _("A register number needs its court, for instance “München HRB 12345”. Please add it.")
        return doubtful(number, "DE", NumberNote.COURT_MISSING, message)
    try:
        return valid(handelsregisternummer.validate(f"{court} {number}"), "DE")
    except exceptions.ValidationError:
        pass
    if is_known_court(court):
        return valid(f"{court} {number}", "DE")
    return doubtful(
        f"{court} {number}",
        "DE",
        NumberNote.COURT_UNKNOWN,
        _("Koppel does not know this court. Please check its name."),
    )


def is_known_court(court: str) -> bool:
    """Return whether it is a court's name, also with ue for ü, or longer: Freiburg im Breisgau."""
    plain = _plain(court)
    return any(plain == known or plain.startswith(f"{known} ") for known in _COURT_NAMES)


def _register_number(match: re.Match[str]) -> str:
    register = re.sub(r"[\s.]", "", match["register"]).upper().replace("GNR", "GnR")
    number = re.sub(r"\D", "", match["number"])
    return " ".join(part for part in (register, number, (match["qualifier"] or "").strip().upper()) if part)


def _court(text: str) -> str:
    """Return the court in the text before or after the number; '' when there is none."""
    court = " ".join(_WORDS.sub(" ", text).split()).strip(" ,;:-–/")
    letters = [letter for letter in court if letter.isalpha()]
    if len(letters) < 2:
        return ""
    # What is all in capitals or small letters is written as a name; otherwise it is kept as typed.
    return court.title() if court.isupper() or court.islower() else court


def _plain(court: str) -> str:
    return " ".join(court.casefold().translate(_PLAIN).split())


_COURT_NAMES = frozenset(
    name
    for court in handelsregisternummer.GERMAN_COURTS
    for name in (_plain(court), _plain(court.partition(" (")[0]))
)
