"""The sector of an activity code: by code, scheme and revision, never by a letter alone.

The first two digits of every national code are a NACE division. From J on the letters moved between NACE Rev.
2 and 2.1, and division 45 was dissolved; `data/division_to_section.csv` (docs/registers.md says where it
comes from) has both letters.
"""

import csv
import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

from stdnum import exceptions
from stdnum.eu import nace

REVISION_2, REVISION_2_1 = "NACE-2", "NACE-2.1"
REVISIONS = {
    REVISION_2: REVISION_2,
    REVISION_2_1: REVISION_2_1,
    "SBI-2008": REVISION_2,
    "SBI-2025": REVISION_2_1,
    "SN-2007": REVISION_2,
    "SN-2025": REVISION_2_1,
    "SNI-2007": REVISION_2,
    "SNI-2025": REVISION_2_1,
    "DB-07": REVISION_2,
    "DB-25": REVISION_2_1,
    "TOL-2008": REVISION_2,
    "TOL-2025": REVISION_2_1,
    "NACE-BEL-2008": REVISION_2,
    "NACE-BEL-2025": REVISION_2_1,
    "SIC-2007": REVISION_2,
}
"""The NACE revision that each national list refines."""
NATIONAL = {
    "NL": ("SBI-2008", "SBI-2025"),
    "NO": ("SN-2007", "SN-2025"),
    "SE": ("SNI-2007", "SNI-2025"),
    "DK": ("DB-07", "DB-25"),
    "FI": ("TOL-2008", "TOL-2025"),
    "BE": ("NACE-BEL-2008", "NACE-BEL-2025"),
}
"""Each country's list of the old and of the new revision."""
SBI_CHANGED_ON = date(2025, 9, 7)
"""From here on every code of the Dutch register is SBI 2025 and has five digits (docs/registers.md)."""
DISSOLVED = {"451": "G", "452": "T", "453": "G"}
"""Where the groups of division 45 went: trade to 46 and 47, repair to 95. 45.4 is both, so it is absent."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """An activity of a company."""

    code: str
    """As the register writes it, without dots."""
    scheme: str
    """A key of `REVISIONS`."""
    label: str = ""
    """The register's own text."""


@dataclass(frozen=True)
class Section:
    """A section letter with the revision it belongs to."""

    letter: str
    revision: str


def section_in_own_revision(code: str, scheme: str) -> Section | None:
    """Return the section under which the code's own list files it; None for an unknown division or scheme."""
    revision = REVISIONS.get(scheme)
    letters = _letters().get(_digits(code)[:2])
    if revision is None or letters is None:
        return None
    letter = letters[0] if revision == REVISION_2 else letters[1]
    return Section(letter, revision) if letter else None


def sector_of(code: str, scheme: str) -> Section | None:
    """Return the section of NACE Rev. 2.1, which Koppel stores as the sector; None when the code alone cannot
    say.
    """
    section = section_in_own_revision(code, scheme)
    if section is None or section.revision == REVISION_2_1:
        return section
    digits = _digits(code)
    letter = DISSOLVED.get(digits[:3], "") if digits.startswith("45") else _letters()[digits[:2]][1]
    return Section(letter, REVISION_2_1) if letter else None


def sbi_scheme(code: str, read_on: date) -> str:
    """Return the revision of a Dutch code, which the register does not name: four digits are SBI 2008; five
    are SBI 2025 when read after the change.
    """
    is_new = len(_digits(code)) == 5 and read_on >= SBI_CHANGED_ON
    return "SBI-2025" if is_new else "SBI-2008"


def national_scheme(country: str, code: str) -> str:
    """Return the revision of a code whose register names none, by the class, which often exists in one
    revision only.

    A class of both counts as the new one: registers renumbered before they said so.
    """
    old, new = NATIONAL[country]
    return old if not _exists(code, "2.1") and _exists(code, "2.0") else new


def _exists(code: str, revision: str) -> bool:
    try:
        nace.validate(_digits(code)[:4], revision=revision)
    except exceptions.ValidationError:
        return False
    return True


def _digits(code: str) -> str:
    return re.sub(r"[^0-9]", "", code)


@cache
def _letters() -> dict[str, tuple[str, str]]:
    """Return each division's letters in Rev. 2 and Rev. 2.1; '' where it does not exist."""
    text = (
        files("koppel.company_registers.sectors")
        .joinpath("data/division_to_section.csv")
        .read_text(encoding="utf-8")
    )
    rows = csv.DictReader(text.splitlines())
    return {row["division"]: (row["section_rev2"], row["section_rev2_1"]) for row in rows}
