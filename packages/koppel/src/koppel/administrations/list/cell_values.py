"""Values of cells that are computed from columns of the database. Nothing here reads the database."""

from datetime import datetime

from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.company_registers.numbers import mask_number
from koppel.company_registers.sectors.sections import SECTIONS


def display_number(administration: Administration) -> str:
    """Return the number, masked where it is a person's."""
    return mask_number(administration.number, administration.country) if administration.number else ""


def division_name(administration: Administration) -> str:
    return administration.division.name if administration.division else ""


def template_name(administration: Administration) -> str:
    return administration.template.name if administration.template else ""


def sector_title(letter: str) -> str:
    """Return the letter with its name, such as `G · Trade`."""
    return f"{letter} · {SECTIONS[letter]}" if letter in SECTIONS else letter


def local_time(moment: datetime | None) -> datetime | None:
    return timezone.localtime(moment) if moment else None
