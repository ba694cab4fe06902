"""Sectors: the 22 sections of NACE Rev. 2.1. A letter is never stored without its revision: from J on they moved."""

from functools import cache
from importlib.resources import files

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SCHEME = "NACE-2.1"
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


@cache
def divisions() -> tuple[tuple[str, str, str, str], ...]:
    """(division, section, English, Dutch) of the 87 divisions."""
    text = files("koppel.registers").joinpath("data/divisions.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return tuple((code, section, english, dutch) for code, section, english, dutch in rows)


def search(text: str, language: str) -> list[tuple[str, str, str]]:
    """(section, its label, what matched) for a few letters: sections first, then divisions, in the person's language."""
    wanted = text.strip().casefold()
    if not wanted:
        return [(letter, str(label), "") for letter, label in SECTIONS.items()]
    found = [(letter, str(label), "") for letter, label in SECTIONS.items() if wanted in str(label).casefold()]
    for _code, section, english, dutch in divisions():
        name = dutch if language.startswith("nl") else english
        if wanted in name.casefold() or wanted == _code:
            found.append((section, str(SECTIONS[section]), name))
    return found
