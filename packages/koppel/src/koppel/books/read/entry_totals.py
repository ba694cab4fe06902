"""Compares the total that the source states of an entry with the entry's lines."""

from collections.abc import Sequence
from decimal import Decimal

from koppel.books.models import Entry, EntryLine

ZERO = Decimal(0)


def total_differs(entry: Entry, lines: Sequence[EntryLine]) -> bool:
    """Return whether the lines add up to another total than the source states of the entry.

    Sources do not say whether the total of an entry in a foreign currency is in that currency: either sum of
    the lines will do. A total of 0 and 0 is how a source states none.
    """
    stated = (entry.debit_total, entry.credit_total)
    base = (sum((line.debit for line in lines), ZERO), sum((line.credit for line in lines), ZERO))
    foreign = (
        sum((line.debit_in_currency or ZERO for line in lines), ZERO),
        sum((line.credit_in_currency or ZERO for line in lines), ZERO),
    )
    return stated not in ((ZERO, ZERO), base, foreign)
