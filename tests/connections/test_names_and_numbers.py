"""What counts as the same name, the same number, and another company."""

import pytest

from koppel.connections.companies.same_company import (
    ReferenceIdentity,
    VendorIdentity,
    is_other_company,
    same_name,
    same_number,
)

JANSEN = ReferenceIdentity(name="Bakkerij Jansen", numbers=("69599084",), country="NL")


@pytest.mark.parametrize(("first", "second"), [("कि", "का"), ("कि", "क"), ("Bolag 1", "Bolag 2")])
def test_marks_that_carry_meaning_make_another_name(first: str, second: str) -> None:
    assert not same_name(first, second)


@pytest.mark.parametrize(
    ("first", "second"), [("Café", "CAFE\u0301"), ("Jansen B.V.", "jansen"), ("Ёлка", "Е\u0308лка")]
)
def test_another_spelling_is_the_same_name(first: str, second: str) -> None:
    assert same_name(first, second)


@pytest.mark.parametrize(("first", "second"), [("АБВ", "ГДЕ"), ("", ""), ("-", "*"), ("69599084", "")])
def test_empty_numbers_are_never_equal(first: str, second: str) -> None:
    assert not same_number(first, second, "NL", "SE")


@pytest.mark.parametrize(
    ("name", "number", "is_other"),
    [
        ("Evil Corp", "", True),
        ("Evil Corp", "-", True),
        ("", "68750110", True),
        ("***", "68750110", True),
        ("\u200b", "68750110", True),
        ("", "", True),
        ("Bakkerij Jansen", "", False),
        ("Evil Corp", "69599084", False),
        ("", "69599084", False),
        ("Bakkerij Jansen", "68750110", False),
    ],
)
def test_a_blank_half_vouches_for_nothing(name: str, number: str, is_other: bool) -> None:
    assert is_other_company(JANSEN, VendorIdentity(name=name, number=number, country="NL")) is is_other


def test_a_number_that_the_vendor_never_stated_does_not_vanish() -> None:
    assert not is_other_company(
        ReferenceIdentity(name="Bakkerij Jansen", numbers=("", "69599084"), country="NL"),
        VendorIdentity(name="Jansen Holding", number=""),
    )
