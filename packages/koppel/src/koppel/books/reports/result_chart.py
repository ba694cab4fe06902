"""The layout of the bar chart of income and cost per period, in an SVG of 720 × 200 units."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from koppel.books.reports.period_totals import PeriodResult

WIDTH, BASE = 720, 170
GROUP_PADDING = 0.12
"""The gap to the left of a period's bars, as a share of the period's width."""
BAR_GAP = 2


@dataclass(frozen=True)
class Bar:
    """A bar; negative amounts are drawn below the base line."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    amount: Decimal


@dataclass(frozen=True)
class Group:
    period: str
    middle: float
    bars: tuple[Bar, Bar]


@dataclass(frozen=True)
class Chart:
    groups: tuple[Group, ...]
    base: float


def layout(results: Sequence[PeriodResult]) -> Chart:
    """Lay out the chart, scaled to the largest amount, with room below the base line for negative ones."""
    amounts = [amount for result in results for amount in (result.income, result.cost)]
    highest, lowest = max([*amounts, Decimal(0)]), min([*amounts, Decimal(0)])
    span = (highest - lowest) or Decimal(1)
    base = BASE * float(highest / span) + 4 if amounts else BASE
    step = WIDTH / max(len(results), 6)
    scale = _Scale(base, BASE / float(span), step * 0.36)
    groups = [_bars_of_period(result, index * step, step, scale) for index, result in enumerate(results)]
    return Chart(tuple(groups), base)


@dataclass(frozen=True)
class _Scale:
    base: float
    units_per_amount: float
    bar_width: float


def _bars_of_period(result: PeriodResult, left: float, step: float, scale: _Scale) -> Group:
    first = left + step * GROUP_PADDING
    income = _bar("income", result.income, first, scale)
    cost = _bar("cost", result.cost, first + scale.bar_width + BAR_GAP, scale)
    return Group(result.period, left + step / 2, (income, cost))


def _bar(kind: str, amount: Decimal, x: float, scale: _Scale) -> Bar:
    height = abs(float(amount)) * scale.units_per_amount
    top = scale.base - height if amount >= 0 else scale.base
    return Bar(kind, round(x, 1), round(top, 1), round(scale.bar_width, 1), round(height, 1), amount)
