"""The number of this installation, which is part of every id.

Ids of two installations are never equal, so rows can be moved unchanged. An id is the number times 2**40 plus
the count of the table's sequence. It is below 2**52, so that JSON and JavaScript, whose numbers are exact up
to 2**53, represent it exactly.
"""

from typing import NamedTuple
from uuid import UUID

SEQUENCE_BITS = 40
NUMBER_MAX = 4095
SENTENCE = (
    f"KOPPEL_INSTALLATION_NUMBER must be a whole number from 0 to {NUMBER_MAX};"
    " docs/operations.md says under Settings what it is for."
)


class IdRange(NamedTuple):
    """The first and the last id that an installation's sequences generate."""

    first: int
    last: int


def parse_installation_number(text: str) -> int | None:
    """Return the number, or None when it is not set: the database decides, and the first migration uses 0.

    Raises `ValueError` with a sentence.
    """
    text = text.strip()
    if not text:
        return None
    if not (
        text.isascii() and text.isdecimal() and len(text) <= len(str(NUMBER_MAX)) and int(text) <= NUMBER_MAX
    ):
        raise ValueError(SENTENCE)
    return int(text)


def parse_installation_id(text: str) -> UUID | None:
    """Return the id by which an installation is told from its copies; None when it is not set.

    Raises `ValueError` with a sentence.
    """
    try:
        return UUID(text.strip()) if text.strip() else None
    except ValueError:
        raise ValueError(
            "KOPPEL_INSTALLATION_ID must be a UUID; docs/operations.md says under Quarantine where it comes"
            " from."
        ) from None


def id_range(number: int) -> IdRange:
    start = number << SEQUENCE_BITS
    return IdRange(start + 1, start + (1 << SEQUENCE_BITS) - 1)
