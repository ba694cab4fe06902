"""Text as it is stored."""

import pytest

from koppel.connector.contract import BRANCHES_MAX, Company, CompanyDescription
from koppel.kit.database.text import DISPLAY_CHARACTERS_MAX, clean_text, display_text


def test_what_postgresql_cannot_store_and_space_around_are_taken_off() -> None:
    assert clean_text(" \0Bakkerij\0 De Haan\n") == "Bakkerij De Haan"


def test_a_text_is_cut_after_it_is_cleaned() -> None:
    assert clean_text("  abcdef", 3) == "abc"
    assert clean_text("\0 \0", 3) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bakkerij De Haan", "Bakkerij De Haan"),
        ("invoice\u202egpj.exe", "invoice gpj.exe"),
        ("a\u200fb\u2066c\u061cd\ne\0f\x1bg", "a b c d e f g"),
        (" \u202e ", ""),
    ],
)
def test_a_text_of_another_system_cannot_turn_the_reading_direction(text: str, expected: str) -> None:
    assert display_text(text) == expected
    assert Company("1", text).name == expected


def test_a_name_of_another_system_is_bounded() -> None:
    name = "A" * 1_000_000
    description = CompanyDescription(name, name, name, "NL", "EUR", branches=((name, name, None),) * 5000)
    texts = [
        Company("1", name, name).name,
        description.name,
        description.number or "",
        description.branches[0][1],
    ]
    assert [len(text) for text in texts] == [DISPLAY_CHARACTERS_MAX] * 4
    assert len(description.branches) == BRANCHES_MAX
