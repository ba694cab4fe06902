"""Generated companies of the sandbox."""

from datetime import date

import pytest

from koppel_sandbox import generate


@pytest.mark.parametrize("count", [1, 6, 7, 10, 14])
def test_each_company_has_a_size_of_its_own(count: int) -> None:
    companies = generate.generate_companies(count, lines_max=2_000, seed=1, today=date(2026, 6, 1))
    sizes = sorted(company.books.line_count for company in companies)
    assert len(set(sizes)) == count
    assert sizes[0] <= generate.LINES_MIN + 2
    assert count == 1 or sizes[-1] >= 2_000
