"""Sectors: the 22 sections of NACE Rev. 2.1. A letter is never stored without its revision: from J on they
moved.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SCHEME = "NACE-2.1"
LANGUAGES = ("en", "nl")
SECTIONS: dict[str, str | Promise] = {
    "A": _("Agriculture, forestry and fishing"),
    "B": _("Mining and quarrying"),
    "C": _("Manufacturing"),
    "D": _("Electricity, gas and steam"),
    "E": _("Water, waste and remediation"),
    "F": _("Construction"),
    "G": _("Wholesale and retail trade"),
    "H": _("Transport and storage"),
    "I": _("Hotels and restaurants"),
    "J": _("Publishing and broadcasting"),
    "K": _("Telecom and IT"),
    "L": _("Finance, insurance and holdings"),
    "M": _("Real estate"),
    "N": _("Professional and technical services"),
    "O": _("Support services"),
    "P": _("Public administration"),
    "Q": _("Education"),
    "R": _("Health and social work"),
    "S": _("Arts, sports and recreation"),
    "T": _("Other services"),
    "U": _("Households as employers"),
    "V": _("International organisations"),
}
EXAMPLES: dict[str, str | Promise] = {
    "A": _("farm, greenhouse, forester"),
    "B": _("sand and gravel, oil and gas"),
    "C": _("bakery, metalworks, printer"),
    "D": _("energy supplier, solar park"),
    "E": _("recycling, sewerage"),
    "F": _("builder, plumber, painter"),
    "G": _("shop, web shop, wholesaler, car dealer"),
    "H": _("haulier, courier, taxi, warehouse"),
    "I": _("hotel, restaurant, caterer"),
    "J": _("publisher, film maker, radio"),
    "K": _("software maker, hosting, telecom"),
    "L": _("holding, insurer, financial adviser"),
    "M": _("landlord, estate agent"),
    "N": _("accountant, lawyer, architect, advertising"),
    "O": _("cleaning, staffing, travel agency, security"),
    "P": _("municipality, water board"),
    "Q": _("school, driving school, training"),
    "R": _("doctor, care home, child care"),
    "S": _("museum, gym, sports club"),
    "T": _("hairdresser, association, garage"),
    "U": _("household with staff"),
    "V": _("embassy, European institution"),
}


@dataclass(frozen=True, kw_only=True)
class SectorChoice:
    """A section to choose."""

    letter: str
    label: str
    example: str
    matched_division: str = ""
    """The division that the typed letters fit; '' when the section's own name did."""

    @property
    def text(self) -> str:
        return f"{self.letter} – {self.label}"


@cache
def divisions() -> tuple[tuple[str, str, str, str], ...]:
    """Return (division, section, English, Dutch) of the 87 divisions."""
    text = (
        files("koppel.company_registers.sectors").joinpath("data/divisions.tsv").read_text(encoding="utf-8")
    )
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return tuple((code, section, english, dutch) for code, section, english, dutch in rows)


def search(text: str, language: str) -> list[SectorChoice]:
    """Return the sections that match typed letters: by name and example first, then through divisions, in
    both languages.

    Divisions are shown in the person's language. Without text, all 22 sections.
    """
    normalized = text.strip().casefold()
    if not normalized:
        return [_choice(letter) for letter in SECTIONS]
    choices = [_choice(letter) for letter in SECTIONS if normalized == letter.casefold()]
    choices += [
        _choice(letter)
        for letter, keywords in _words().items()
        if normalized in keywords and letter.casefold() != normalized
    ]
    of_division = []
    for code, section, english, dutch in divisions():
        if (
            normalized in english.casefold()
            or normalized in dutch.casefold()
            or (normalized.isdigit() and code.startswith(normalized))
        ):
            of_division.append(_choice(section, f"{code} {dutch if language.startswith('nl') else english}"))
    return choices + of_division


def resolve_sector(text: str) -> str:
    """Return the letter for a letter, `K – Telecom and IT`, or a section's or division's name or number in
    either language. '' when it means none or more than one section.
    """
    text = text.strip()
    letter = text[:1].upper()
    if letter in SECTIONS and not text[1:2].isalpha():
        behind = text[1:].strip(" –-.:").casefold()
        others = {name for names in _names().values() for key, name in names if key != letter}
        return "" if behind in others else letter
    normalized = text.casefold()
    if not normalized:
        return ""
    meant = {key for names in _names().values() for key, name in names if name == normalized}
    if not meant:
        meant = {
            section
            for code, section, *names in divisions()
            if normalized in (code, *(name.casefold() for name in names))
        }
    return meant.pop() if len(meant) == 1 else ""


def _choice(letter: str, matched_division: str = "") -> SectorChoice:
    return SectorChoice(
        letter=letter,
        label=str(SECTIONS[letter]),
        example=str(EXAMPLES[letter]),
        matched_division=matched_division,
    )


@cache
def _words() -> dict[str, str]:
    """Return each section's name and example in every language, in lower case."""
    keywords = dict.fromkeys(SECTIONS, "")
    for language in LANGUAGES:
        with translation.override(language):
            for letter, label in SECTIONS.items():
                keywords[letter] += f"{letter} – {label}\n{EXAMPLES[letter]}\n".casefold()
    return keywords


@cache
def _names() -> dict[str, tuple[tuple[str, str], ...]]:
    """Return each language's (letter, name in lower case)."""
    names = {}
    for language in LANGUAGES:
        with translation.override(language):
            names[language] = tuple((letter, str(label).casefold()) for letter, label in SECTIONS.items())
    return names
