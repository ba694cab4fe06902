"""Dates and amounts as programs, spreadsheets and hands write them."""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum

AMOUNT_MAX = Decimal(10) ** 15
_BLANKS = re.compile("[\\s\u00a0\u2009\u202f\u2007\u2006\u200a]")
_AS_DESCRIBED = re.compile(r"-?\d{1,12}(\.\d{1,2})?", re.ASCII)
_EXPONENT = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)[eE][+-]?\d{1,3}", re.ASCII)
_GROUPED = {
    separator: re.compile(rf"\d{{1,3}}({re.escape(separator)}\d{{3}})+", re.ASCII)
    for separator in (".", ",", "'")
}


class Unreadable(ValueError):
    """A field is not what it should be; the text says why."""


class DecimalSeparator(StrEnum):
    """The separator before the decimals of a file's amounts, where only one can be."""

    POINT = "."
    COMMA = ","
    UNKNOWN = ""


def read_date(text: str) -> date | None:
    """Return a date such as 20250115 or 2025-01-15; None when there is none. Raises `Unreadable`."""
    text = text.strip()
    if not text:
        return None
    match = re.fullmatch(r"(\d{4})([-./]?)(\d{2})\2(\d{2})", text, re.ASCII)
    try:
        if match:
            return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        pass
    raise Unreadable(f"“{text[:40]}” is not a date")


def decimal_separator(texts: Iterable[str]) -> DecimalSeparator:
    """Return the separator that these amounts show; UNKNOWN when they show both or neither."""
    separators = set()
    for text in texts:
        if match := re.search(r"([.,])(\d{1,2}|\d{4,})\D*\Z", text.strip(), re.ASCII):
            separators.add(match[1])
    return DecimalSeparator(separators.pop()) if len(separators) == 1 else DecimalSeparator.UNKNOWN


def read_amount(text: str, separator: DecimalSeparator = DecimalSeparator.UNKNOWN) -> Decimal:
    """Return an amount: `1 234,50`, `1.234,50`, `1'234.50`, `(12.50)`, `12.50-` and `1.25E3` too.

    Raises `Unreadable`, also for one that can be read in two ways: `1.234` in a file of which no other amount
    shows what the point means.
    """
    typed = text.strip()
    if not typed:
        raise Unreadable("the amount is empty")
    if _AS_DESCRIBED.fullmatch(typed):
        return _decimal(typed, typed)
    plain = _BLANKS.sub("", typed).replace("\u2212", "-").replace("\u2019", "'")
    negative = False
    if plain.startswith("(") and plain.endswith(")"):
        negative, plain = True, plain[1:-1]
    elif plain[-1:] == "-" and plain[:1] not in "+-":
        negative, plain = True, plain[:-1]
    elif plain[:1] in "+-":
        negative, plain = plain[0] == "-", plain[1:]
    if _EXPONENT.fullmatch(plain):
        amount = _decimal(plain.replace(",", "."), typed)
    else:
        amount = _decimal(_without_groups(plain, typed, separator), typed)
    return -amount if negative else amount


def _without_groups(plain: str, typed: str, separator: DecimalSeparator) -> str:
    """Return digits with at most one point."""
    if not re.fullmatch(r"[\d.,']*\d[\d.,']*", plain, re.ASCII):
        raise Unreadable(f"“{typed[:40]}” is not an amount")
    last = max(plain.rfind("."), plain.rfind(","))
    whole, decimals = (plain[:last], plain[last + 1 :]) if last >= 0 else (plain, "")
    mark = plain[last] if last >= 0 else ""
    others = set(whole) & set(".,'")
    if (mark and mark in others) or (not others and mark and _could_be_group(whole, decimals)):
        if others - {mark} or not _GROUPED[mark].fullmatch(plain):
            raise Unreadable(f"“{typed[:40]}” is not an amount")
        if not others and separator != mark:
            if separator is DecimalSeparator.UNKNOWN:
                raise Unreadable(f"“{typed[:40]}” can be read as thousands and as decimals")
            return plain.replace(mark, "")
        return plain.replace(mark, "") if others else f"{whole}.{decimals}"
    if len(others) > 1 or (others and not _GROUPED[next(iter(others))].fullmatch(whole)):
        raise Unreadable(f"“{typed[:40]}” is not an amount")
    for other in others:
        whole = whole.replace(other, "")
    return f"{whole}.{decimals}" if mark else whole


def _could_be_group(whole: str, decimals: str) -> bool:
    return len(decimals) == 3 and 1 <= len(whole) <= 3 and whole[0] != "0"


def _decimal(text: str, typed: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise Unreadable(f"“{typed[:40]}” is not an amount") from None
    if abs(amount) >= AMOUNT_MAX:
        raise Unreadable(f"“{typed[:40]}” is too large for an amount")
    return amount
