"""A search finds a number however it is typed, and a name without its accents."""

import pytest

from koppel.kit.database.text_search import search_alternatives


@pytest.mark.parametrize(
    "text", ["580 615 68", "58.061.568", "58-061-568", "NL58061568", "nl 58061568", "58/061/568"]
)
def test_a_number_is_also_its_digits(text: str) -> None:
    assert ["58061568"] in search_alternatives(text)


def test_a_name_is_its_words_without_accents() -> None:
    assert search_alternatives("  Trädgård  Ødegård ") == [["tradgard", "odegard"]]


@pytest.mark.parametrize("text", ["", "100 200", "58061568", "Bakker 58061568", "2024-2025 x"])
def test_nothing_else_is_taken_for_a_number(text: str) -> None:
    assert len(search_alternatives(text)) == 1
