"""Text as it is stored."""

from koppel.kit.database.text import clean_text


def test_what_postgresql_cannot_store_and_space_around_are_taken_off() -> None:
    assert clean_text(" \0Bakkerij\0 De Haan\n") == "Bakkerij De Haan"


def test_a_text_is_cut_after_it_is_cleaned() -> None:
    assert clean_text("  abcdef", 3) == "abc"
    assert clean_text("\0 \0", 3) == ""
