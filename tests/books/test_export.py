from datetime import date
from decimal import Decimal

import pytest

from koppel.books.export import csv_lines


def test_cells_keep_amounts_exact_and_dates_iso() -> None:
    text = "".join(csv_lines(["a", "b", "c"], [[Decimal("-0.10"), date(2026, 1, 2), None]]))
    assert text == "\ufeffa;b;c\r\n-0.10;2026-01-02;\r\n"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_a_text_that_begins_like_a_formula_is_defused(start: str) -> None:
    assert f"'{start}cmd" in "".join(csv_lines(["a"], [[f"{start}cmd"]]))
