"""Numbers as bookkeepers really type them.

Vectors are those of the reference page; properties hold for every country.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.company_registers.numbers import NumberStatus, check_number, is_personal, mask_number
from koppel.company_registers.numbers.country_rules import DUTCH_CHECKED_NUMBER_MIN, VALIDATORS

GOOD = [
    ("NL", "69599084", "69599084"),
    ("NL", "68750110", "68750110"),
    ("NL", "59581883", "59581883"),
    ("NL", "33031431", "33031431"),
    ("NL", "17052456", "17052456"),
    ("NL", "KvK 6959 9084", "69599084"),
    ("NO", "923609016", "923609016"),
    ("NO", "974760673", "974760673"),
    ("NO", "NO 923 609 016 MVA", "923609016"),
    ("NO", "923.609.016", "923609016"),
    ("SE", "556036-0793", "556036-0793"),
    ("SE", "SE556036079301", "556036-0793"),
    ("SE", "165560360793", "556036-0793"),
    ("DK", "22756214", "22756214"),
    ("DK", "DK-36734205", "36734205"),
    ("DK", "CVR 28504799", "28504799"),
    ("FI", "2077474-0", "2077474-0"),
    ("FI", "FI01098628", "0109862-8"),
    ("FI", "109862-8", "0109862-8"),
    ("BE", "0428.759.497", "0428759497"),
    ("BE", "BE 0566 988 259", "0566988259"),
    ("BE", "428759497", "0428759497"),
    ("FR", "404 833 048", "404833048"),
    ("FR", "40483304800022", "404833048"),
    ("FR", "FR83404833048", "404833048"),
    ("UK", "SC123456", "SC123456"),
    ("GB", "445790", "00445790"),
    ("GB", "oc 301540", "OC301540"),
    ("GB", "IP00525R", "IP00525R"),
    ("GB", "SL00123A", "SL00123A"),
    ("DE", "München HRB 1", "München HRB 1"),
    ("DE", "Amtsgericht München HRB 1", "München HRB 1"),
    ("DE", "AG Aachen, HRB 44343", "Aachen HRB 44343"),
    ("DE", "HRB 150148 Berlin", "Berlin (Charlottenburg) HRB 150148"),
    ("EE", "12345678", "12345678"),
    ("LU", "B 12345", "B12345"),
    ("PL", "KRS 0000012345", "0000012345"),
    ("LV", "LV40003032949", "40003032949"),
    # Labels before and behind the number.
    ("NL", "KvK-nr. 69599084", "69599084"),
    ("NL", "KvK nummer: 69599084", "69599084"),
    ("NL", "KvKnr:69599084", "69599084"),
    ("NL", "Kamer van Koophandel nr. 6959.9084", "69599084"),
    ("NL", "K.v.K. 69599084", "69599084"),
    ("NL", "KvK Amsterdam 33031431", "33031431"),
    ("NL", "69599084 (KvK)", "69599084"),
    ("DK", "CVR-nr. 22756214", "22756214"),
    ("DK", "CVR nr.: DK22756214", "22756214"),
    ("DK", "CVR/SE-nr. 22756214", "22756214"),
    ("NO", "Org.nr 923 609 016", "923609016"),
    ("NO", "Org. nr.: 923609016 MVA", "923609016"),
    ("NO", "Organisasjonsnummer NO923609016MVA", "923609016"),
    ("NO", "923609016 (Foretaksregisteret)", "923609016"),
    ("SE", "Org.nr. 556036-0793", "556036-0793"),
    ("SE", "VAT no. SE556036079301", "556036-0793"),
    ("FI", "Y-tunnus 2077474-0", "2077474-0"),
    ("FI", "Y-tunnus: FI20774740", "2077474-0"),
    ("BE", "Ondernemingsnr. 0428.759.497", "0428759497"),
    ("BE", "BTW BE 0428.759.497, RPR Gent", "0428759497"),
    ("FR", "SIREN : 404 833 048", "404833048"),
    ("FR", "404 833 048 RCS Paris", "404833048"),
    ("GB", "Registered in England and Wales No. 445790", "00445790"),
    ("GB", "Company number: SC123456", "SC123456"),
    ("GB", "NO000123", "NO000123"),
    ("PL", "NIP: 5260250995", "5260250995"),
    ("LU", "R.C.S. Luxembourg B 12345", "B12345"),
    # Courts before and behind the number, as typed where nobody lists them so.
    ("DE", "Freiburg im Breisgau HRB 700001", "Freiburg im Breisgau HRB 700001"),
    ("DE", "HRB12345 München", "München HRB 12345"),
    ("DE", "Duesseldorf HRB 12345", "Duesseldorf HRB 12345"),
    ("DE", "HR B 12345 Ulm", "Ulm HRB 12345"),
    ("DE", "HRB-Nr. 12345 AG Hamburg", "Hamburg HRB 12345"),
    ("DE", "HRB 123.456, Amtsgericht Frankfurt am Main", "Frankfurt am Main HRB 123456"),
    ("DE", "HRB 12345 B Berlin (Charlottenburg)", "Berlin (Charlottenburg) HRB 12345 B"),
    ("DE", "Registergericht: Amtsgericht Bad Homburg v.d.H., HRB: 12345", "Bad Homburg v.d.H. HRB 12345"),
]


@pytest.mark.parametrize(("country", "typed", "expected"), GOOD)
def test_a_good_number_is_recognised_however_it_is_written(country: str, typed: str, expected: str) -> None:
    number_check = check_number(typed, country)
    assert number_check.number == expected
    assert number_check.status is not NumberStatus.INVALID
    assert number_check.note in ("", "dummy")


@pytest.mark.parametrize(
    ("country", "typed"),
    [
        ("NL", "87654329"),
        ("NL", "50000000"),
        ("NL", "55344527"),
        ("NO", "833286602"),
        ("NO", "100000008"),
        ("NO", "Org.nr 100 000 008"),
        ("SE", "112233-4567"),
        ("FI", "2077474-1"),
        ("BE", "1000000001"),
        ("FR", "404833047"),
        ("EE", "12345679"),
    ],
)
def test_a_number_whose_check_digit_does_not_fit_is_kept_with_a_warning(country: str, typed: str) -> None:
    number_check = check_number(typed, country)
    assert (number_check.status, number_check.note) == (NumberStatus.DOUBTFUL, "looks_mistyped")
    assert number_check.message


def test_the_dutch_test_never_speaks_about_the_old_regional_series() -> None:
    old = [check_number(f"{number:08d}", "NL") for number in range(1_000_123, 41_999_999, 999_983)]
    assert {one.status for one in old} == {NumberStatus.VALID}


@pytest.mark.parametrize(
    ("country", "typed", "note", "word"),
    [
        ("NL", "NL002455799B11", "vat_number", "VAT"),
        ("NL", "002455799B11", "vat_number", "VAT"),
        ("NL", "BTW-nr. NL002455799B11", "vat_number", "VAT"),
        ("NL", "KvK-nr. abc", "format", "8 digits"),
        ("DE", "USt-IdNr. DE136695976", "vat_number", "VAT"),
        ("NL", "000037178598", "branch_number", "branch"),
        ("NL", "004495445", "rsin", "RSIN"),
        ("NL", "123456780", "format", "9"),
        ("DE", "DE136695976", "vat_number", "VAT"),
        ("GB", "GB980780684", "vat_number", "VAT"),
        ("NL", "123", "format", "8 digits"),
        ("SE", "5560", "format", "10"),
    ],
)
def test_another_kind_of_number_is_named_and_the_right_one_is_described(
    country: str, typed: str, note: str, word: str
) -> None:
    number_check = check_number(typed, country)
    assert (number_check.status, number_check.note) == (NumberStatus.INVALID, note)
    assert word in str(number_check.message)


@pytest.mark.parametrize(
    ("country", "typed"),
    [
        ("NL", "12345678"),
        ("NL", "99999999"),
        ("NL", "87654321"),
        ("NL", "00000000"),
        ("NO", "888888888"),
        ("NO", "999 999 999"),
        ("NO", "123456785"),
        ("SE", "555555-5555"),
        ("SE", "222222-2222"),
        ("SE", "000000-0000"),
        ("DK", "00000000"),
        ("DK", "11111111"),
        ("FI", "1234567-1"),
        ("DE", "HRB 111111"),
        ("US", "999999999"),
    ],
)
def test_a_made_up_number_proposes_the_reason_test_or_demo(country: str, typed: str) -> None:
    number_check = check_number(typed, country)
    assert (number_check.note, number_check.suggested_reason) == ("dummy", "test_demo")
    assert number_check.status is NumberStatus.INVALID


def test_a_register_number_without_its_court_is_kept_and_asked_about() -> None:
    number_check = check_number("HRB 12345", "DE")
    assert (number_check.number, number_check.status, number_check.note) == (
        "HRB 12345",
        NumberStatus.DOUBTFUL,
        "court_missing",
    )


def test_a_court_that_no_list_has_is_kept_and_asked_about() -> None:
    number_check = check_number("Kleinkleckersdorf HRB 5", "DE")
    assert (number_check.number, number_check.status, number_check.note) == (
        "Kleinkleckersdorf HRB 5",
        NumberStatus.DOUBTFUL,
        "court_unknown",
    )


def test_a_lost_leading_zero_is_put_back_and_shown() -> None:
    assert check_number("7052456", "NL").number == "07052456"
    assert check_number("7052456", "NL").note == "zero_added"


def test_a_persons_number_is_masked_wherever_it_is_listed() -> None:
    number_check = check_number("19640823-3234", "SE")
    assert (number_check.number, number_check.is_personal) == ("640823-3234", True)
    assert mask_number(number_check.number, "SE") == "640823-****"
    assert mask_number("556036-0793", "SE") == "556036-0793"
    assert mask_number("69599084", "NL") == "69599084"
    assert is_personal("01019912345", "LV")


COUNTRIES = st.sampled_from([*VALIDATORS, "UK", "US", ""])
TYPED = st.one_of(
    st.text(max_size=200),
    st.text("0123456789 .-/", max_size=20),
    st.builds(
        str.__add__,
        st.sampled_from(["NL", "SE", "DE", "HRB ", "BE0", "FR"]),
        st.text("0123456789B", max_size=14),
    ),
)


@given(TYPED, COUNTRIES)
def test_typed_text_never_raises_and_every_problem_has_a_sentence(typed: str, country: str) -> None:
    number_check = check_number(typed, country)
    assert bool(number_check.note) == bool(str(number_check.message))
    assert (number_check.status is NumberStatus.VALID) == (number_check.note == "")


@given(TYPED, COUNTRIES)
def test_what_is_stored_is_read_back_as_itself(typed: str, country: str) -> None:
    number_check = check_number(typed, country)
    if number_check.status is not NumberStatus.INVALID:
        second_check = check_number(number_check.number, country)
        assert second_check.number == number_check.number
        assert second_check.status is not NumberStatus.INVALID
        assert (
            second_check.is_personal
            == number_check.is_personal
            == is_personal(number_check.number, country.replace("UK", "GB"))
        )


@given(st.sampled_from(GOOD), st.data())
def test_separators_change_nothing(vector: tuple[str, str, str], data: st.DataObject) -> None:
    country, _typed, number = vector
    if country != "DE":
        places = data.draw(
            st.lists(st.sampled_from([" ", ".", "-", "/", "\t"]), min_size=len(number), max_size=len(number))
        )
        spread = "".join(f"{sign}{place}" for sign, place in zip(number, places, strict=True))
        assert check_number(spread, country) == check_number(number, country)


def passes_check(number: int) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(f"{number:08d}", range(8, 0, -1), strict=True))
    return total % 11 == 0


def next_valid_number(number: int) -> str:
    return str(next(one for one in range(number, number + 200) if passes_check(one)))


KVK = st.integers(DUTCH_CHECKED_NUMBER_MIN, 93_999_000).map(next_valid_number)


@given(KVK, st.integers(0, 7), st.integers(1, 9))
def test_every_single_wrong_digit_of_a_new_dutch_number_is_warned_about(
    number: str, at: int, step: int
) -> None:
    wrong = number[:at] + str((int(number[at]) + step) % 10) + number[at + 1 :]
    number_check = check_number(wrong, "NL")
    if number_check.note == "dummy":
        assert number_check.status is NumberStatus.INVALID
    elif int(wrong) >= DUTCH_CHECKED_NUMBER_MIN:
        assert number_check.status is NumberStatus.DOUBTFUL
    elif int(wrong):
        assert number_check.status is not NumberStatus.INVALID


@given(KVK, st.integers(1, 6))
def test_every_swap_of_neighbours_in_a_new_dutch_number_is_warned_about(number: str, at: int) -> None:
    swapped = number[:at] + number[at + 1] + number[at] + number[at + 2 :]
    if swapped != number:
        assert check_number(swapped, "NL").status is NumberStatus.DOUBTFUL


@given(st.text("0123456789", min_size=10, max_size=10))
def test_no_mask_shows_the_last_four_digits_of_a_person(digits: str) -> None:
    number = f"{digits[:6]}-{digits[6:]}"
    if is_personal(number, "SE"):
        assert mask_number(number, "SE") == f"{digits[:6]}-****"
    else:
        assert mask_number(number, "SE") == number
