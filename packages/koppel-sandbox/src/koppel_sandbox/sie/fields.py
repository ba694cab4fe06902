"""The fields of a line of a SIE file, its dates, and its amounts as programs and spreadsheets write them."""

import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import StrEnum

AMOUNT_MAX = Decimal(10) ** 15
_FIELD = re.compile(
    r"[ \t\x00]+"
    r'|"(?:[^"\\]|\\.|""|"(?=[^\W\d_][^"]*"))*("|\\?\Z)'
    r'|\{((?:"(?:[^"\\]|\\.)*"|[^}])*)(\}|\Z)'
    r'|(?:[^ \t\x00"{]|(?<=[^\W\d_])"(?=[^\W\d_]))+'
)
_BLANKS = re.compile("[\\s\u00a0\u2009\u202f\u2007\u2006\u200a]")
_AS_DESCRIBED = re.compile(r"-?\d{1,12}(\.\d{1,2})?", re.ASCII)
_EXPONENT = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)[eE][+-]?\d{1,3}", re.ASCII)
_GROUPED = {
    separator: re.compile(rf"\d{{1,3}}({re.escape(separator)}\d{{3}})+", re.ASCII)
    for separator in (".", ",", "'")
}
_FIRST_GROUP = re.compile(r"[-+\u2212(]?\d{1,3}", re.ASCII)
_MORE_GROUPS = re.compile(r"\d{3}", re.ASCII)
_LAST_GROUP = re.compile(r"\d{3}[.,]\d{1,2}\)?-?", re.ASCII)


class Braces(str):
    """A field that stood in `{…}`: the objects of a line. The text is what stood between them."""

    __slots__ = ()


class Brace(str):
    """A brace that is alone, outside quotation marks: `{` or `}`."""

    __slots__ = ()


class Unreadable(ValueError):
    """A field is not what it should be; the text says why."""


class DecimalSign(StrEnum):
    """The sign before the decimals of a file's amounts, where only one can be."""

    POINT = "."
    COMMA = ","
    UNKNOWN = ""


def split_fields(line: str) -> tuple[list[str], bool]:
    """Return the fields, and whether a quotation mark was never closed.

    Blanks separate fields, quotation marks keep blanks together, a backslash or a second quotation mark
    escapes one, `{…}` is one field. One before a letter is a character where another follows: some programs
    write `"F"rskott"` for a letter that they lost. A brace that is alone is a `Brace`.
    """
    fields: list[str] = []
    is_open = False
    for match in _FIELD.finditer(line):
        text = match[0]
        if text[0] in " \t\0":
            continue
        if text[0] == '"':
            is_closed = match[1] == '"'
            is_open = is_open or not is_closed
            fields.append(_unescape(text[1:-1] if is_closed else text[1:]))
        elif text[0] == "{":
            fields.append(Braces(match[2]) if match[3] else Brace("{"))
            if not match[3] and match[2].strip():
                fields += split_fields(match[2].replace("{", " "))[0]
        else:
            fields.append(Brace(text) if text == "}" else text)
    return fields, is_open


def _unescape(text: str) -> str:
    return re.sub(r'\\(["\\])|""', lambda match: match[1] or '"', text)


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


def decimal_sign(texts: Iterable[str]) -> DecimalSign:
    """Return the sign before the decimals that these amounts show; UNKNOWN when they show both or neither."""
    signs = set()
    for text in texts:
        if match := re.search(r"([.,])(\d{1,2}|\d{4,})\D*\Z", text.strip(), re.ASCII):
            signs.add(match[1])
    return DecimalSign(signs.pop()) if len(signs) == 1 else DecimalSign.UNKNOWN


def read_amount(text: str, sign: DecimalSign = DecimalSign.UNKNOWN) -> Decimal:
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
        amount = _decimal(_without_groups(plain, typed, sign), typed)
    return -amount if negative else amount


def _without_groups(plain: str, typed: str, sign: DecimalSign) -> str:
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
        if not others and sign != mark:
            if sign is DecimalSign.UNKNOWN:
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


def join_groups(fields: list[str]) -> list[str]:
    """Return the fields with an amount that was written with blanks and without quotation marks, `1 234
    567,50`, as one.
    """
    if not fields or not _FIRST_GROUP.fullmatch(fields[0]):
        return fields
    end = 1
    while end < len(fields) and _MORE_GROUPS.fullmatch(fields[end]):
        end += 1
    if end < len(fields) and _LAST_GROUP.fullmatch(fields[end]):
        return ["".join(fields[: end + 1]), *fields[end + 1 :]]
    return fields
