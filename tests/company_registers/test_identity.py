"""An identity is a number, or a reason and a sector."""

import pytest

from koppel.company_registers.numbers.identity import Identity, check_identity, suggest_number


def test_a_number_is_enough() -> None:
    assert check_identity(country="NL", number="6959 9084").identity == Identity("69599084", "0106")


def test_a_doubtful_number_is_taken_with_its_note() -> None:
    assert check_identity(country="SE", number="112233-4567").identity == Identity(
        number="112233-4567", number_scheme="0007", number_note="looks_mistyped"
    )


@pytest.mark.parametrize(
    ("reason", "sector", "fields"),
    [
        ("", "", {"number"}),
        ("not_a_company", "", {"sector"}),
        ("because", "K", {"reason"}),
        ("because", "Z", {"reason", "sector"}),
    ],
)
def test_without_a_number_a_reason_and_a_sector_are_both_needed(
    reason: str, sector: str, fields: set[str]
) -> None:
    check = check_identity(country="NL", reason=reason, sector=sector)
    assert (check.is_valid, check.identity) == (False, Identity())
    assert {problem.field for problem in check.problems} == fields
    assert all(str(problem.message) for problem in check.problems)


def test_a_sector_is_never_stored_without_its_revision() -> None:
    identity = check_identity(country="NL", reason="test_demo", sector="K").identity
    assert identity == Identity(no_number_reason="test_demo", sector="K", sector_scheme="NACE-2.1")


def test_an_unattended_import_may_omit_but_not_falsify_the_identity() -> None:
    nothing = check_identity(country="NL", allow_incomplete=True)
    assert (nothing.is_valid, nothing.identity.is_complete) == (True, False)
    assert not check_identity(country="NL", number="123", allow_incomplete=True).is_valid
    assert not check_identity(country="NL", reason="test_demo", allow_incomplete=True).is_valid


@pytest.mark.parametrize(
    ("country", "number", "vat", "guess"),
    [
        ("NL", "69599084", "NL002455799B11", "69599084"),
        ("NL", "", "NL002455799B11", ""),
        ("NO", "", "NO 923 609 016 MVA", "923609016"),
        ("BE", "", "BE0428759497", "0428759497"),
        ("FR", "", "FR83404833048", "404833048"),
        ("DK", "see contract", "DK22756214", "22756214"),
        ("NL", "NL002455799B11", "", "NL002455799B11"),
    ],
)
def test_the_first_guess_comes_from_what_the_accounting_system_states(
    country: str, number: str, vat: str, guess: str
) -> None:
    assert suggest_number(country, number, vat)[0] == guess
