"""The periods of a read: fiscal years are the company's own, from `/v1/financialPeriod`."""

import asyncio
import json
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

import pytest

from koppel.connector.contract import Company, HistoryWindow
from koppel.connectors.visma_net.descriptor import COMPANY_LIST
from koppel.connectors.visma_net.periods import read_periods
from koppel.kit.http.client import Response

JSON = MappingProxyType({"content-type": "application/json"})


class FakeSession:
    """A session to which the vendor lists these fiscal years: the first day of each, and how many months it
    has.
    """

    base_urls = MappingProxyType({"legacy": "http://127.0.0.1"})
    consent_mode = COMPANY_LIST
    company = Company("1", "A company")

    def __init__(self, years: Mapping[int, tuple[str, int]]) -> None:
        self._body = json.dumps(
            [period for year, (start, months) in years.items() for period in _periods(year, start, months)]
        )

    async def send(
        self,
        _method: str,
        _url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        return Response(status=200, headers=JSON, body=self._body.encode())


def _periods(year: int, start: str, months: int) -> list[dict[str, object]]:
    first = date.fromisoformat(start)
    starts = [
        date(first.year + (first.month - 1 + n) // 12, (first.month - 1 + n) % 12 + 1, 1)
        for n in range(months)
    ]
    return [
        {"year": year, "period": f"{n:02d}", "startDate": f"{day}T00:00:00"}
        for n, day in enumerate(starts, 1)
    ]


CALENDAR = {
    2024: ("2024-01-01", 12),
    2025: ("2025-01-01", 12),
    2026: ("2026-01-01", 12),
    2027: ("2027-01-01", 12),
}
BROKEN = {2024: ("2024-07-01", 12), 2025: ("2025-07-01", 12), 2026: ("2026-07-01", 12)}
SHORT = {2024: ("2024-01-01", 12), 2025: ("2025-01-01", 6), 2026: ("2025-07-01", 12)}
LONG = {2023: ("2023-01-01", 12), 2024: ("2024-01-01", 18), 2025: ("2025-07-01", 12)}


@pytest.mark.parametrize(
    ("years", "today", "back", "first", "last", "count"),
    [
        (CALENDAR, "2026-05-20", 0, "202601", "202612", 12),
        (CALENDAR, "2026-05-20", 1, "202501", "202612", 24),
        (BROKEN, "2026-05-20", 0, "202501", "202512", 12),
        (BROKEN, "2026-07-01", 0, "202601", "202612", 12),
        (SHORT, "2026-05-20", 1, "202501", "202612", 18),
        (LONG, "2025-05-20", 0, "202401", "202418", 18),
        (LONG, "2025-08-01", 1, "202401", "202512", 30),
        (CALENDAR, "2026-05-20", 9, "202401", "202612", 36),
    ],
    ids=[
        "this year",
        "and the last",
        "broken year",
        "a broken year begins",
        "short year",
        "long year",
        "long one before",
        "all",
    ],
)
def test_the_window_counts_fiscal_years_as_the_company_has_them(
    years: Mapping[int, tuple[str, int]], today: str, back: int, first: str, last: str, count: int
) -> None:
    window = HistoryWindow(back, date.fromisoformat(today))
    period_keys = asyncio.run(read_periods(FakeSession(years), window))  # type: ignore[arg-type]
    assert (period_keys[0], period_keys[-1], len(period_keys)) == (first, last, count)


def test_a_year_without_periods_does_not_count() -> None:
    years = {2022: ("2022-01-01", 12), 2025: ("2025-01-01", 12)}
    period_keys = asyncio.run(read_periods(FakeSession(years), HistoryWindow(1, date(2025, 3, 1))))  # type: ignore[arg-type]
    assert {one[:4] for one in period_keys} == {"2022", "2025"}
