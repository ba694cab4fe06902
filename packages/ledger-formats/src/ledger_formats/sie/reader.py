"""Reads a SIE file line by line. A line that cannot be read is reported with its reason and left out; what is
no ledger at all is refused.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path

from ledger_formats.encoding import decode_as, detect_encoding
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.sie.completion import complete
from ledger_formats.sie.fields import Brace, Braces, join_groups, split_fields
from ledger_formats.sie.model import NO_DATE, ObjectBalance, SieFile, SieLine, SieYear, Voucher
from ledger_formats.values import DecimalSeparator, Unreadable, decimal_separator, read_amount, read_date
from ledger_formats.years import year_problem, year_refusal

SUFFIXES = (".se", ".si", ".sie")
BYTES_MAX = 512 * 1024 * 1024
LINE_CHARACTERS_MAX = 100_000
LABEL_CHARACTERS_MAX = 1_000
TEXT_LINES_MAX = 10
"""Of one text with line breaks. Where a quotation mark is missing no more is lost."""
AMOUNTS_SAMPLED = 20_000
ENCODINGS = {"PC8": "cp437", "UTF-8": "utf-8", "UTF8": "utf-8", "ANSI": "cp1252"}
BALANCES = {"#IB": "opening", "#UB": "closing", "#RES": "result"}
KNOWN_LABELS = frozenset(
    {
        "#FLAGGA",
        "#PROSA",
        "#FTYP",
        "#BKOD",
        "#ADRESS",
        "#TAXAR",
        "#KPTYP",
        "#ENHET",
        "#PBUDGET",
        "#KSUMMA",
    }
)
"""Labels of SIE that say nothing which these books hold."""


@dataclass(frozen=True, kw_only=True)
class _Row:
    """A line that is not blank, or several where a text has line breaks. `at` is the number of the first."""

    at: int
    label: str
    rest: list[str]
    lines: int = 1


def read(path: Path) -> SieFile:
    """Read a SIE file. Raises `LedgerFileRefused` with a sentence that names the file, and `OSError`."""
    if path.stat().st_size > BYTES_MAX:
        raise LedgerFileRefused(
            RefusalCode.TOO_LARGE, f"{path.name} is larger than {BYTES_MAX // 1024 // 1024} MB."
        )
    return parse(path.read_bytes(), path.name)


def parse(raw: bytes, name: str) -> SieFile:
    """Read the content of a SIE file called `name`. Raises `LedgerFileRefused`."""
    sie_file = SieFile(source=name, encoding=detect_encoding(raw))
    rows = list(_rows(sie_file, decode_as(raw, sie_file.encoding)))
    labels = {row.label for row in rows}
    if "#SIETYP" not in labels and not {"#FLAGGA", "#KONTO"} <= labels:
        raise LedgerFileRefused(
            RefusalCode.NOT_A_LEDGER_FILE, f"{name} is not a SIE file: {_file_kind(labels)}."
        )
    _Reader(sie_file, rows).read()
    complete(sie_file)
    return sie_file


def _file_kind(labels: set[str]) -> str:
    """Return what a file is that has no label of SIE 4, from the words its lines begin with."""
    if labels & {"<SIE", "<SIEENTRY", "<SIE>", "<SIEENTRY>"}:
        return "it is SIE 5, which is XML"
    if labels & {"<!DOCTYPE", "<HTML", "<HTML>"}:
        return "it is a web page"
    return "it has no #SIETYP line"


def _rows(sie_file: SieFile, text: str) -> Iterator[_Row]:
    """Yield the lines that can be split. A text whose quotation mark is open goes on in the next line, unless
    that one begins like a line of its own.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    position = 0
    while position < len(lines):
        at, line, count = position + 1, lines[position], 1
        position += 1
        if not line.strip(" \t\0\x1a"):
            continue
        sie_file.line_count += 1
        if len(line) > LINE_CHARACTERS_MAX:
            label = next(iter(line.lstrip(" \t\0")[:LABEL_CHARACTERS_MAX].split()), "").upper()
            sie_file.skip(at, label, f"the line has more than {LINE_CHARACTERS_MAX:,} characters")
            continue
        fields, is_open = split_fields(line)
        while is_open and count < TEXT_LINES_MAX and position < len(lines) and _continues(lines[position]):
            line, position = f"{line} {lines[position]}", position + 1
            count += bool(lines[position - 1].strip(" \t\0\x1a"))
            if len(line) > LINE_CHARACTERS_MAX:
                break
            fields, is_open = split_fields(line)
        sie_file.line_count += count - 1
        if fields:
            yield _Row(at=at, label=fields[0].strip().upper(), rest=fields[1:], lines=count)
        else:
            sie_file.understood_count += count


def _continues(line: str) -> bool:
    return line.lstrip(" \t\0")[:1] not in ("#", "{", "}")


class _Reader:
    """The content of a file, collected line by line."""

    def __init__(self, sie_file: SieFile, rows: list[_Row]) -> None:
        self.file, self.rows = sie_file, rows
        self.separator = decimal_separator(islice(_amount_texts(rows), AMOUNTS_SAMPLED))
        self.voucher: Voucher | None = None
        self.is_in_block = False
        self.is_skipped = False
        self.facts: dict[str, Callable[[list[str]], None]] = {
            "#SIETYP": self._file_type,
            "#FORMAT": self._encoding,
            "#GEN": self._written,
            "#OMFATTN": self._covered,
            "#FNR": self._software_id,
            "#SRU": self._standard_account,
            "#OIB": self._object_opening,
            "#OUB": self._object_closing,
            "#PSALDO": self._period_balance,
            "#BTRANS": self._struck_line,
            "#FNAMN": self._name,
            "#ORGNR": self._number,
            "#PROGRAM": self._program,
            "#VALUTA": self._currency,
            "#RAR": self._fiscal_year,
            "#KONTO": self._account,
            "#KTYP": self._kind,
            "#DIM": self._dimension,
            "#UNDERDIM": self._dimension,
            "#OBJEKT": self._object,
        }

    def read(self) -> None:
        for row, following in zip(self.rows, [*self.rows[1:], None], strict=True):
            try:
                if row.label == "#RTRANS":
                    self._added_line(row, following)
                else:
                    self._row(row)
            except Unreadable as problem:
                self.file.skip(row.at, row.label, str(problem))
                for line in range(row.at + 1, row.at + row.lines):
                    self.file.skip(line, f"text of {row.label}", str(problem))
            else:
                self.file.understood_count += row.lines

    def _row(self, row: _Row) -> None:
        if row.label == "#VER":
            self._begin_voucher(row)
        elif row.label in ("{", "}"):
            self._brace(row)
        elif row.label == "#TRANS":
            self._line(row)
        else:
            if not self.is_in_block:
                self.voucher, self.is_skipped = None, False
            self._fact(row)

    def _fact(self, row: _Row) -> None:
        if row.label in self.facts:
            self.facts[row.label](row.rest)
        elif row.label in BALANCES:
            self._balance(row.label, row.rest)
        elif row.label not in KNOWN_LABELS:
            raise Unreadable("this is no line of SIE")

    def _begin_voucher(self, row: _Row) -> None:
        self.voucher, self.is_in_block, self.is_skipped = None, False, True
        rest = row.rest[:-1] if row.rest and isinstance(row.rest[-1], Brace) else row.rest
        self.is_in_block = len(rest) < len(row.rest)
        series, number, day, text, entered = [*(field.strip() for field in rest[:5]), *[""] * 5][:5]
        booked_on = read_date(day) or NO_DATE
        self.voucher = Voucher(
            series=series,
            number=number,
            booked_on=booked_on,
            text=text,
            at=row.at,
            entered_on=_optional_date(entered),
        )
        self.is_skipped = False
        self.file.vouchers.append(self.voucher)

    def _brace(self, row: _Row) -> None:
        if row.label == "{" and self.voucher is None and not self.is_skipped:
            raise Unreadable("no #VER line stands before it")
        if row.rest:
            raise Unreadable("something stands behind the brace")
        self.is_in_block = row.label == "{"
        if row.label == "}":
            self.voucher, self.is_skipped = None, False

    def _line(self, row: _Row) -> None:
        rest = self._after_last_field(row)
        if self.is_skipped:
            raise Unreadable("its voucher could not be read")
        if self.voucher is None:
            raise Unreadable("it stands in no voucher")
        self.voucher.lines.append(_line(rest, self.separator, row.at))
        if len(rest) < len(row.rest):
            self.voucher, self.is_in_block = None, False

    def _added_line(self, row: _Row, following: _Row | None) -> None:
        """Pass over a line that was added afterwards: the same one stands behind it as #TRANS.

        Raises `Unreadable` where it does not: the line would be lost.
        """
        self.file.struck_count += 1
        if self.is_skipped or self.voucher is None:
            return
        added = _line(self._after_last_field(row), self.separator, row.at)
        if following is not None and following.label == "#TRANS":
            line = _line(self._after_last_field(following), self.separator, following.at)
            if (added.account, added.amount) == (line.account, line.amount):
                return
        raise Unreadable("no #TRANS line with its account and amount stands behind it")

    def _after_last_field(self, row: _Row) -> list[str]:
        """Return the fields without a brace that ends the voucher on the same line."""
        return row.rest[:-1] if row.rest and isinstance(row.rest[-1], Brace) else row.rest

    def _file_type(self, rest: list[str]) -> None:
        self.file.kind = _first(rest).upper()[:2] or "4"

    def _encoding(self, rest: list[str]) -> None:
        stated = _first(rest).upper()
        self.file.stated_encoding = ENCODINGS.get(stated, stated.lower()[:20])

    def _written(self, rest: list[str]) -> None:
        self.file.written_on = _optional_date(_first(rest))

    def _covered(self, rest: list[str]) -> None:
        self.file.covers_until = _optional_date(_first(rest))

    def _software_id(self, rest: list[str]) -> None:
        self.file.software_id = self.file.software_id or _first(rest)

    def _standard_account(self, rest: list[str]) -> None:
        self.file.standard_accounts.setdefault(_first(rest), _at(rest, 1))

    def _struck_line(self, rest: list[str]) -> None:
        del rest
        self.file.struck_count += 1

    def _object_opening(self, rest: list[str]) -> None:
        self._object_balance(rest[:1], "", rest[1:], is_opening=True)

    def _object_closing(self, rest: list[str]) -> None:
        self._object_balance(rest[:1], "", rest[1:])

    def _period_balance(self, rest: list[str]) -> None:
        period = _at(rest, 1)
        if not re.fullmatch(r"\d{6}", period, re.ASCII):
            raise Unreadable(f"“{period[:20]}” is not a period such as 202501")
        self._object_balance(rest[:1], period, rest[2:])

    def _object_balance(
        self, year: list[str], period: str, rest: list[str], *, is_opening: bool = False
    ) -> None:
        line = _line(rest, self.separator, 0)
        self.file.object_balances.append(
            ObjectBalance(
                year=_year(year),
                period=period,
                account=line.account,
                objects=tuple(line.objects),
                amount=line.amount,
                is_opening=is_opening,
            )
        )

    def _name(self, rest: list[str]) -> None:
        self.file.name = self.file.name or _first(rest)

    def _number(self, rest: list[str]) -> None:
        self.file.number = self.file.number or _first(rest)

    def _program(self, rest: list[str]) -> None:
        self.file.program = _first(rest)

    def _currency(self, rest: list[str]) -> None:
        currency = _first(rest).upper()
        if not re.fullmatch(r"[A-Z]{3}", currency):
            raise Unreadable(f"“{currency[:20]}” is not a currency")
        self.file.currency = currency

    def _fiscal_year(self, rest: list[str]) -> None:
        number, starts_on, ends_on = _year(rest), *(read_date(_at(rest, position)) for position in (1, 2))
        if starts_on is None or ends_on is None:
            raise Unreadable("a fiscal year has a first and a last day")
        if problem := year_problem(starts_on, ends_on):
            if number == 0:
                label = f"#RAR 0 {starts_on:%Y%m%d} {ends_on:%Y%m%d}"
                raise year_refusal(self.file.source, f"{problem} ({label})")
            raise Unreadable(problem)
        year = self.file.years.setdefault(number, SieYear())
        if year.starts_on and (year.starts_on, year.ends_on) != (starts_on, ends_on):
            raise Unreadable(f"another line gave year {number} other days; the first one holds")
        year.starts_on, year.ends_on = starts_on, ends_on

    def _account(self, rest: list[str]) -> None:
        code, name = _first(rest), _at(rest, 1)
        if not code:
            raise Unreadable("it has no account number")
        first_name = self.file.accounts.setdefault(code, name)
        if first_name and name and first_name != name:
            raise Unreadable(f"account {code[:20]} is declared twice; the first name holds")
        self.file.accounts[code] = first_name or name

    def _kind(self, rest: list[str]) -> None:
        code, kind = _first(rest), _at(rest, 1).upper()
        if not code or kind not in ("T", "S", "K", "I"):
            raise Unreadable("an account's type is T, S, K or I")
        self.file.kinds[code] = kind

    def _dimension(self, rest: list[str]) -> None:
        number = _first(rest)
        if not number:
            raise Unreadable("it has no number")
        self.file.dimensions[number] = _at(rest, 1) or number

    def _object(self, rest: list[str]) -> None:
        dimension, code = _first(rest), _at(rest, 1)
        if not dimension or not code:
            raise Unreadable("an object has a dimension and a code")
        self.file.objects[(dimension, code)] = _at(rest, 2) or code

    def _balance(self, label: str, rest: list[str]) -> None:
        number, account = _year(rest), _at(rest, 1)
        if not account:
            raise Unreadable("it has no account number")
        amount = read_amount(_first(join_groups(rest[2:])), self.separator)
        year = self.file.years.setdefault(number, SieYear())
        table: dict[str, Decimal] = getattr(year, BALANCES[label])
        table[account] = table.get(account, Decimal(0)) + amount


def _optional_date(text: str) -> date | None:
    """Return a date that the books do not need; None when it cannot be read."""
    try:
        return read_date(text)
    except Unreadable:
        return None


def _first(rest: list[str]) -> str:
    return _at(rest, 0)


def _at(rest: list[str], index: int) -> str:
    return rest[index].strip() if index < len(rest) else ""


def _year(rest: list[str]) -> int:
    if not re.fullmatch(r"[-+]?\d{1,2}", _first(rest), re.ASCII):
        raise Unreadable("it does not say which year: 0, -1 and so on")
    return int(_first(rest))


def _amount_texts(rows: Iterable[_Row]) -> Iterator[str]:
    for row in rows:
        if row.label in BALANCES:
            yield _first(join_groups(row.rest[2:]))
        elif row.label == "#TRANS":
            yield _first(join_groups(_behind_objects(row.rest)[1]))


def _behind_objects(rest: list[str]) -> tuple[list[str], list[str]]:
    """Return the objects of a line, as number and code in turn, and the fields from its amount on.

    Some programs leave the braces out, some write quotation marks for them.
    """
    after = rest[1:]
    if after and isinstance(after[0], Braces):
        return split_fields(after[0])[0], after[1:]
    if len(after) > 1 and isinstance(after[0], Brace) and "}" in after:
        end = after.index("}")
        return after[1:end], after[end + 1 :]
    if len(after) > 1 and _is_amount(after[1]) and (not _is_amount(after[0]) or " " in after[0]):
        return split_fields(after[0])[0], after[1:]
    return [], after


def _is_amount(text: str) -> bool:
    try:
        read_amount(text, DecimalSeparator.POINT)
    except Unreadable:
        return False
    return True


def _line(rest: list[str], separator: DecimalSeparator, at: int) -> SieLine:
    """Read `account {objects} amount [date] [text]`. Raises `Unreadable`."""
    account = _first(rest)
    if not account or isinstance(rest[0], Braces):
        raise Unreadable("it has no account number")
    objects, after = _behind_objects(rest)
    if len(objects) % 2:
        raise Unreadable("an object has a dimension and a code")
    after = join_groups(after)
    if not after:
        raise Unreadable("it has no amount")
    amount = read_amount(after[0], separator)
    day = _at(after, 1)
    try:
        booked_on = read_date(day)
    except Unreadable:
        if re.fullmatch(r"[\d.,]+", day, re.ASCII) and len(day) != 8:
            raise Unreadable(f"“{after[0][:20]} {day[:20]}” is not an amount") from None
        booked_on = None
    pairs = [(objects[index].strip(), objects[index + 1].strip()) for index in range(0, len(objects), 2)]
    return SieLine(
        account=account, objects=pairs, amount=amount, booked_on=booked_on, text=_at(after, 2), at=at
    )
