"""The range of a SAF-T file: from its selection, its header, or else its entries.

`SelectionCriteria` is optional in 1.10. The balances of a file are those of its range, and its entries are
all in it: without a range they could not be compared.
"""

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from ledger_formats.xml.ledger import optional_day

BALANCE_NAMES = (
    "OpeningDebitBalance",
    "OpeningCreditBalance",
    "ClosingDebitBalance",
    "ClosingCreditBalance",
)
Fields = Mapping[str, str]


def stated_start(selection: Fields, header: Fields) -> date | None:
    return _first_day(
        (selection.get("SelectionStartDate"), header.get("SelectionStartDate"), header.get("StartDate"))
    ) or _month(selection, "Start")


def stated_end(selection: Fields, header: Fields) -> date | None:
    return _first_day(
        (selection.get("SelectionEndDate"), header.get("SelectionEndDate"), header.get("EndDate"))
    ) or _month(selection, "End")


def _first_day(texts: Iterable[str | None]) -> date | None:
    return next((day for text in texts if text and (day := optional_day(text))), None)


def _month(selection: Fields, end: str) -> date | None:
    """Return the first day of the range's first period, or the last of its last; 13 and more are December.

    Without a period it is that of the whole year.
    """
    period = selection.get(f"Period{end}", "") or ("1" if end == "Start" else "12")
    year = _year(selection.get(f"Period{end}Year", ""))
    if not re.fullmatch(r"\d{1,3}", period, re.ASCII) or not year:
        return None
    month = min(max(int(period), 1), 12)
    day = 1 if end == "Start" else monthrange(year, month)[1]
    return date(year, month, day)


def _year(text: str) -> int:
    """Return the number of a year; 0 for none."""
    return int(text) if re.fullmatch(r"[12]\d{3}", text, re.ASCII) else 0


@dataclass
class YearsOfEntries:
    """The fiscal years that entries are of.

    The first day of a year is that which most of its entries show by their date and period: of period 3 and a
    day in September it is 1 July. Without periods it is 1 January.
    """

    starts: dict[int, Counter[date]] = field(default_factory=dict)
    """By year as the entries name it (`PeriodYear`, or else that of their date)."""

    def add(self, entry: Fields) -> None:
        day = _first_day((entry.get("TransactionDate"), entry.get("GLPostingDate")))
        year = _year(entry.get("PeriodYear", "")) or (day.year if day else 0)
        if not year:
            return
        period = entry.get("Period", "")
        start = date(year, 1, 1)
        if day and re.fullmatch(r"0*([1-9]|1[0-2])", period, re.ASCII):
            months = day.year * 12 + day.month - int(period)
            start = date(max(months // 12, 1), months % 12 + 1, 1)
        self.starts.setdefault(year, Counter())[start] += 1

    def span(self) -> tuple[date, date] | None:
        """Return the first and the last day of all years; None without an entry that names one."""
        starts = [counter.most_common(1)[0][0] for counter in self.starts.values()]
        if not starts:
            return None
        last = max(starts)
        return min(starts), last.replace(year=last.year + 1) - timedelta(days=1)
