"""Reads SIE type 4 files as accounting programs really write them: three encodings, errors included.

Format: https://sie.se/format/ (type 4, edition 4B/4C). Only `#TRANS` are lines of an entry; `#RTRANS` and
`#BTRANS` are the history of corrections. Amounts keep the file's own digits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path

NO_DATE = date.min
SUFFIXES = (".se", ".si", ".sie")


class NotSie(Exception):
    """The file is not SIE type 4. The message names the file and the reason."""


@dataclass
class SieLine:
    """`objects` are (dimension number, object code). A debit is positive."""

    account: str
    objects: list[tuple[str, str]]
    amount: Decimal
    booked_on: date | None
    text: str


@dataclass
class Voucher:
    """`series` and `number` as in the file; numbers repeat in some files and may be blank."""

    series: str
    number: str
    booked_on: date
    text: str
    lines: list[SieLine] = field(default_factory=list)


@dataclass
class SieFile:
    """One file. `opening`, `closing` and `result` are #IB, #UB and #RES of the current year, by account."""

    source: str
    name: str = ""
    number: str = ""
    program: str = ""
    currency: str = "SEK"
    starts_on: date | None = None
    ends_on: date | None = None
    accounts: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    dimensions: dict[str, str] = field(default_factory=dict)
    objects: dict[tuple[str, str], str] = field(default_factory=dict)
    opening: dict[str, Decimal] = field(default_factory=dict)
    closing: dict[str, Decimal] = field(default_factory=dict)
    result: dict[str, Decimal] = field(default_factory=dict)
    vouchers: list[Voucher] = field(default_factory=list)


def read(path: Path) -> SieFile:
    """Read a SIE file. Raises `NotSie` with a sentence that names the file."""
    raw = path.read_bytes()
    text = _decode(raw)
    rows = [_fields(line) for line in text.splitlines()]
    labels = {row[0] for row in rows if row}
    if "#SIETYP" not in labels and not {"#FLAGGA", "#KONTO"} <= labels:
        raise NotSie(f"{path.name} is not a SIE file: it has no #SIETYP line.")
    kind = next((row[1] for row in rows if row and row[0] == "#SIETYP" and len(row) > 1), "4")
    if not kind.startswith("4"):
        raise NotSie(f"{path.name} is SIE type {kind}: it has no entries. Export type 4 instead.")
    sie_file = SieFile(source=path.name)
    _read_rows(sie_file, rows)
    _complete(sie_file)
    return sie_file


def _decode(raw: bytes) -> str:
    """Decode a file.

    `#FORMAT PC8` means CP437, but programs write Latin-1 and UTF-8 under the same label.
    """
    if raw.startswith(b"\xef\xbb\xbf"):
        return raw[3:].decode("utf-8", errors="replace")
    if all(byte < 128 for byte in raw):
        return raw.decode("ascii")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    # The bytes of å ä ö Å Ä Ö é are letters in one encoding, and box drawing or symbols in the other.
    pc8 = sum(raw.count(byte) for byte in b"\x86\x84\x94\x8f\x8e\x99\x82")
    latin = sum(raw.count(byte) for byte in b"\xe5\xe4\xf6\xc5\xc4\xd6\xe9")
    return raw.decode("cp437" if pc8 >= latin else "cp1252", errors="replace")


def _fields(line: str) -> list[str]:
    """Split a line into fields.

    Fields are separated by blanks; quotes keep blanks together; `{…}` is one field; a backslash escapes a
    quote.
    """
    fields: list[str] = []
    position, end = 0, len(line)
    while position < end:
        character = line[position]
        if character in " \t\x00":
            position += 1
        elif character == '"':
            word, position = _read_quoted(line, position + 1)
            fields.append(word)
        elif character == "{":
            close = line.find("}", position)
            close = end if close < 0 else close
            fields.append(
                line[position + 1 : close]
                if line[position + 1 : close].strip()
                else "{}"
                if close < end
                else "{"
            )
            position = close + 1
        else:
            start = position
            while position < end and line[position] not in ' \t"':
                position += 1
            fields.append(line[start:position])
    return fields


def _read_quoted(line: str, position: int) -> tuple[str, int]:
    letters: list[str] = []
    while position < len(line):
        if line[position] == "\\" and position + 1 < len(line) and line[position + 1] in '"\\':
            letters.append(line[position + 1])
            position += 2
        elif line[position] == '"':
            return "".join(letters), position + 1
        else:
            letters.append(line[position])
            position += 1
    return "".join(letters), position


def _read_rows(sie_file: SieFile, rows: list[list[str]]) -> None:
    voucher: Voucher | None = None
    for row in rows:
        if not row:
            continue
        label, rest = row[0].upper(), row[1:]
        if label == "#VER":
            voucher = _voucher(rest)
            sie_file.vouchers.append(voucher)
        elif label == "#TRANS" and voucher is not None:
            line = _line(rest)
            if line:
                voucher.lines.append(line)
        else:
            _read_fact(sie_file, label, rest)


def _read_fact(sie_file: SieFile, label: str, rest: list[str]) -> None:
    first = rest[0].strip() if rest else ""
    second = rest[1].strip() if len(rest) > 1 else ""
    if label == "#FNAMN":
        sie_file.name = first
    elif label == "#ORGNR":
        sie_file.number = first
    elif label == "#PROGRAM":
        sie_file.program = first
    elif label == "#VALUTA" and len(first) == 3:
        sie_file.currency = first.upper()
    elif label == "#RAR" and first == "0":
        sie_file.starts_on, sie_file.ends_on = _date(second), _date(rest[2] if len(rest) > 2 else "")
    elif label == "#KONTO" and first:
        sie_file.accounts[first] = second
    elif label == "#KTYP" and first:
        sie_file.kinds[first] = second.upper()
    elif label == "#DIM" and first:
        sie_file.dimensions[first] = second
    elif label == "#OBJEKT" and first and second:
        sie_file.objects[(first, second)] = rest[2].strip() if len(rest) > 2 else second
    elif label in ("#IB", "#UB", "#RES") and first == "0" and second:
        amount = _amount(rest[2] if len(rest) > 2 else "")
        table = {"#IB": sie_file.opening, "#UB": sie_file.closing, "#RES": sie_file.result}[label]
        if amount is not None:
            table[second] = table.get(second, Decimal(0)) + amount


def _voucher(rest: list[str]) -> Voucher:
    """Read a voucher.

    `_complete` adds a missing date: a voucher is never left out.
    """
    series, number, day, text = (*(field.strip() for field in rest[:4]), "", "", "", "")[:4]
    return Voucher(series, number, _date(day) or NO_DATE, text)


def _line(rest: list[str]) -> SieLine | None:
    """Read `account {objects} amount [date] [text]`; some programs omit the braces."""
    if len(rest) < 2:
        return None
    account, after = rest[0].strip(), rest[1:]
    objects: list[tuple[str, str]] = []
    if _amount(after[0]) is None or (
        len(after) > 1 and _amount(after[1]) is not None and "{" not in after[0] and " " in after[0]
    ):
        fields = [] if after[0] in ("{}", "{") else _fields(after[0])
        objects = [(fields[place], fields[place + 1]) for place in range(0, len(fields) - 1, 2)]
        after = after[1:]
    amount = _amount(after[0]) if after else None
    if amount is None:
        return None
    return SieLine(
        account,
        objects,
        amount,
        _date(after[1] if len(after) > 1 else ""),
        after[2].strip() if len(after) > 2 else "",
    )


def _complete(sie_file: SieFile) -> None:
    """Add what a file may omit: a name, the year, accounts used in entries."""
    sie_file.name = sie_file.name or Path(sie_file.source).stem
    for voucher in sie_file.vouchers:
        if voucher.booked_on == NO_DATE:
            voucher.booked_on = next((line.booked_on for line in voucher.lines if line.booked_on), NO_DATE)
    days = [voucher.booked_on for voucher in sie_file.vouchers if voucher.booked_on != NO_DATE]
    if sie_file.starts_on is None or sie_file.ends_on is None:
        first = min(days, default=date(2000, 1, 1))
        sie_file.starts_on, sie_file.ends_on = date(first.year, 1, 1), date(first.year, 12, 31)
    for voucher in sie_file.vouchers:
        voucher.booked_on = sie_file.starts_on if voucher.booked_on == NO_DATE else voucher.booked_on
    for code in _used_accounts(sie_file):
        sie_file.accounts.setdefault(code, "")


def _used_accounts(sie_file: SieFile) -> Iterator[str]:
    for table in (sie_file.opening, sie_file.closing, sie_file.result):
        yield from table
    for voucher in sie_file.vouchers:
        yield from (line.account for line in voucher.lines)


def _date(text: str) -> date | None:
    digits = text.strip().replace("-", "")
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])) if len(digits) == 8 else None
    except ValueError:
        return None


def _amount(text: str) -> Decimal | None:
    try:
        amount = Decimal(text.strip().replace(",", "."))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
