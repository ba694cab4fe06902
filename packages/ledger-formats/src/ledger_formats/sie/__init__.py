"""SIE files of type 1 to 4 as accounting programs really write them: several encodings, faults and all.

Format: https://sie.se/format/ (edition 4B/4C). docs/decisions/0031-reading-of-sie.md has the choices
where a file can be read in more than one way.
"""

from ledger_formats.sie.keys import entry_keys
from ledger_formats.sie.model import (
    Completion,
    ObjectBalance,
    SieFile,
    SieLine,
    SieYear,
    SkippedLine,
    Voucher,
)
from ledger_formats.sie.reader import SUFFIXES, parse, read

__all__ = [
    "SUFFIXES",
    "Completion",
    "ObjectBalance",
    "SieFile",
    "SieLine",
    "SieYear",
    "SkippedLine",
    "Voucher",
    "entry_keys",
    "parse",
    "read",
]
