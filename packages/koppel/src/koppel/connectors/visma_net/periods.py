"""The financial periods of a company. Its years may be broken, short or long."""

from collections.abc import Sequence

import msgspec

from koppel.connector.contract import HistoryWindow, Session
from koppel.connector.period_format import is_period
from koppel.connectors.visma_net.client import get, parse


class FinancialPeriod(msgspec.Struct):
    year: int
    period: str
    startDate: str


async def read_periods(session: Session, window: HistoryWindow) -> list[str]:
    """Request the company's periods, and return those within the window."""
    periods = await parse(await get(session, "/v1/financialPeriod"), list[FinancialPeriod])
    return periods_within(periods, window)


def periods_within(periods: Sequence[FinancialPeriod], window: HistoryWindow) -> list[str]:
    """Return the periods (`YYYYPP`) of the history window, oldest first.

    They are those of the newest fiscal year that has begun and of `fiscal_years_back` years before it. Years
    without periods do not count, nor periods that no fiscal year can have.
    """
    periods = [period for period in periods if is_period(period_key(period.year, period.period))]
    started_years = {period.year for period in periods if period.startDate[:10] <= window.today.isoformat()}
    years = sorted(started_years)[-(window.fiscal_years_back + 1) :]
    return sorted({period_key(period.year, period.period) for period in periods if period.year in years})


def period_key(year: int, period: str) -> str:
    """Return `202601`. The description does not say whether `period` is `01` or `202601`."""
    return period if len(period) == 6 else f"{year:04d}{period:0>2}"
