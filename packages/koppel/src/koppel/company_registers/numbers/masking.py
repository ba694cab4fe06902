"""Hide numbers of natural persons in lists, logs and exports."""

import re


def is_personal(number: str, country: str) -> bool:
    """Return whether the number is a natural person's own: sole traders in Sweden and Latvia."""
    digits = re.sub(r"[^0-9]", "", number)
    if country == "SE":
        return len(digits) == 10 and digits[2] in "01"
    return country == "LV" and len(digits) == 11 and digits[0] < "4"


def mask_number(number: str, country: str) -> str:
    """Return the number for lists, logs and exports: the end of a person's number is hidden, others are shown
    whole.
    """
    return f"{number[:-4]}****" if is_personal(number, country) else number
