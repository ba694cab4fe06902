"""SIE type 4 files as accounting programs really write them: several encodings, faults and all.

Format: https://sie.se/format/ (type 4, edition 4B/4C). docs/decisions/0031-reading-of-sie.md has the choices
where a file can be read in more than one way.
"""

from koppel_sandbox.sie.model import FiscalYear, NotSie, SieFile, SieLine, SkippedLine, Voucher
from koppel_sandbox.sie.reader import SUFFIXES, read

__all__ = ["SUFFIXES", "FiscalYear", "NotSie", "SieFile", "SieLine", "SkippedLine", "Voucher", "read"]
