"""Do the years join? Books in which they do are told from those in which a balance was lost or made up."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from koppel.books.reports.year_transitions import broken_transitions
from koppel.kit.tenancy import organisation_scope
from ledger_formats import sie
from tests.books.factories import Ledger, administration_of

KINDS = {
    "1000": "asset",
    "1300": "asset",
    "1600": "liability",
    "0500": "liability",
    "0510": "liability",
    "0590": "liability",
    "4000": "expense",
    "8000": "income",
}
YEAR_2024 = {"1000": (100, 600), "1600": (-60, -70), "0500": (-40, -40), "4000": (0, 110), "8000": (0, -600)}
"""Opening and closing balances; the result is a profit of 490, which 0500 takes at the turn of the year."""
Stated = Mapping[str, tuple[int, int]]


@pytest.fixture
def ledger(actor: Any) -> Ledger:
    new_ledger = Ledger(administration_of(actor("administrator")))
    for code, kind in KINDS.items():
        new_ledger.account(code, f"Rekening {code}", kind)
    return new_ledger


def state(ledger: Ledger, year: int, stated: Stated, periods: tuple[int, int] = (1, 12)) -> None:
    """State opening and closing balances: those before a movement, and those after."""
    first, last = (f"{year}{number:02}" for number in periods)
    for account, (opening, closing) in stated.items():
        ledger.balance(account, first, str(opening), str(closing if first == last else opening))
        if first != last:
            ledger.balance(account, last, str(opening), str(closing))


def broken(ledger: Ledger) -> dict[str, dict[str, Decimal]]:
    """Return the differences by year and account."""
    with organisation_scope(ledger.administration.organisation_id):
        transitions = broken_transitions(ledger.administration.pk)
    return {each.year: {row.code: row.difference for row in each.accounts} for each in transitions}


def test_a_balance_that_opens_with_another_figure_is_named(ledger: Ledger) -> None:
    state(ledger, 2024, YEAR_2024)
    state(ledger, 2025, {"1000": (999, 999), "1600": (-70, -70), "0500": (-530, -530)})
    assert broken(ledger) == {"2025": {"1000": Decimal(399)}}


JOINED: dict[str, Stated] = {
    "the result is not appropriated yet": {"1000": (600, 600), "1600": (-70, -70), "0500": (-40, -40)},
    "one account takes the result": {"1000": (600, 600), "1600": (-70, -70), "0500": (-530, -530)},
    "an account of its own takes it": {
        "1000": (600, 600),
        "1600": (-70, -70),
        "0500": (-40, -40),
        "0590": (-490, -490),
    },
    "partners share it": {
        "1000": (600, 650),
        "1600": (-70, -120),
        "0500": (-285, -285),
        "0510": (-245, -245),
    },
    "result accounts are stated at zero": {"1000": (600, 600), "4000": (0, 5), "8000": (0, -5)},
    "result accounts keep their figures": {"1000": (600, 600), "4000": (110, 115), "8000": (-600, -605)},
    "only what moved is stated": {"1300": (0, 20), "8000": (0, -20)},
}


@pytest.mark.parametrize("opened", JOINED.values(), ids=JOINED)
def test_years_join_however_the_result_is_appropriated(ledger: Ledger, opened: Stated) -> None:
    state(ledger, 2024, YEAR_2024)
    state(ledger, 2025, opened)
    assert broken(ledger) == {}


BROKEN: dict[str, tuple[Stated, dict[str, int]]] = {
    "an asset as large as the result": ({"1000": (110, 110)}, {"1000": -490}),
    "a debt that is gone, and equity has it": (
        {"1000": (600, 600), "1600": (0, 0), "0500": (-600, -600)},
        {"0500": -560, "1600": 70},
    ),
    "the result taken twice": (
        {"1000": (600, 600), "1600": (-70, -70), "0500": (-530, -530), "0590": (-490, -490)},
        {"0500": -490, "0590": -490},
    ),
    "a loss in place of a profit": ({"0500": (450, 450)}, {"0500": 490}),
    "an account that is not stated any more": (
        {"1600": (-70, -70), "0500": (-530, -530), "1300": (600, 600)},
        {"1000": -600, "1300": 600},
    ),
    "a little more than the result": ({"0500": (-531, -531)}, {"0500": -1}),
    "much more than the result": ({"0500": (-590, -590)}, {"0500": -550}),
}


@pytest.mark.parametrize(("opened", "differences"), BROKEN.values(), ids=BROKEN)
def test_what_the_result_does_not_explain_is_named(
    ledger: Ledger, opened: Stated, differences: dict[str, int]
) -> None:
    state(ledger, 2024, {**YEAR_2024, "1300": (0, 0), "0590": (0, 0)})
    state(ledger, 2025, opened)
    assert broken(ledger).get("2025", {}) == {code: Decimal(amount) for code, amount in differences.items()}


def test_the_account_that_showed_the_result_may_hand_it_on(ledger: Ledger) -> None:
    """Entries closed the year: 8000 and 4000 end at zero, and 0590 has the profit until the next year."""
    closed = {"1000": (100, 590), "1600": (-60, -60), "0500": (-40, -40), "0590": (0, -490), "8000": (0, 0)}
    state(ledger, 2024, closed)
    ledger.entry("1", "202406", ("1000", "490", "0"), ("8000", "0", "490"))
    ledger.period("202412", date(2024, 12, 1), date(2024, 12, 31))
    ledger.entry("2", "202412", ("8000", "490", "0"), ("0590", "0", "490"))
    state(ledger, 2025, {"1000": (590, 590), "1600": (-60, -60), "0500": (-530, -530), "0590": (0, 0)})
    assert broken(ledger) == {}
    state(ledger, 2026, {"1000": (590, 590), "1600": (0, 0), "0500": (-590, -590)})
    assert broken(ledger) == {"2026": {"0500": Decimal(-60), "1600": Decimal(60)}}


def test_an_account_of_the_result_that_no_entry_books_begins_at_zero(ledger: Ledger) -> None:
    """The source shows the result of the year on 0590 by itself, and adds it to 0500 when the year ends."""
    state(ledger, 2024, {**YEAR_2024, "0590": (0, -490)})
    state(ledger, 2025, {"1000": (600, 600), "1600": (-70, -70), "0500": (-530, -530), "0590": (0, -12)})
    assert broken(ledger) == {}


def test_the_last_stated_balance_counts_through_years_without_movement(ledger: Ledger) -> None:
    """The source states a balance only for periods in which it moved; nothing moved in 2024."""
    state(ledger, 2023, {"1000": (100, 600)}, periods=(3, 3))
    ledger.period("202401", date(2024, 1, 1), date(2024, 12, 31))
    state(ledger, 2025, {"1000": (999, 1000)}, periods=(5, 5))
    assert broken(ledger) == {"2025": {"1000": Decimal(399)}}


def test_around_a_missing_year_nothing_is_known(ledger: Ledger) -> None:
    state(ledger, 2023, {"1000": (100, 600)})
    state(ledger, 2025, {"1000": (999, 1000)})
    assert broken(ledger) == {}
    ledger.entry("1", "202403", ("1000", "399", "0"), ("8000", "0", "399"))
    assert broken(ledger) == {}, "the source states no balance of 2024, in which the account moved"


def test_an_account_with_entries_and_no_stated_balance_in_a_year_is_not_compared_over_it(
    ledger: Ledger,
) -> None:
    state(ledger, 2023, {"1000": (100, 600), "1600": (-70, -70)})
    state(ledger, 2024, {"1600": (-70, -70)})
    ledger.entry("1", "202403", ("1000", "399", "0"), ("8000", "0", "399"))
    state(ledger, 2025, {"1000": (999, 1000), "1600": (-80, -80)})
    assert broken(ledger) == {"2025": {"1600": Decimal(-10)}}


@pytest.mark.parametrize(
    ("first_ends", "second_begins", "names"),
    [
        (date(2024, 6, 30), date(2024, 7, 1), (2024, 2025)),
        (date(2024, 12, 31), date(2025, 1, 1), (2023, 2025)),
        (date(2025, 4, 30), date(2025, 5, 1), (2024, 2025)),
    ],
    ids=["a short year", "a long year, whose name skips one", "a broken year"],
)
def test_years_follow_each_other_by_the_days_of_their_periods(
    ledger: Ledger, first_ends: date, second_begins: date, names: tuple[int, int]
) -> None:
    before, year = names
    ledger.period(f"{before}01", date(2023, 5, 1), first_ends)
    ledger.period(f"{year}01", second_begins, date(2026, 4, 30))
    state(ledger, before, {"1000": (100, 600)}, periods=(1, 6))
    state(ledger, year, {"1000": (999, 999)}, periods=(2, 13))
    assert broken(ledger) == {str(year): {"1000": Decimal(399)}}


def test_years_with_days_between_them_are_not_compared(ledger: Ledger) -> None:
    ledger.period("202401", date(2024, 1, 1), date(2024, 6, 30))
    ledger.period("202501", date(2025, 1, 1), date(2025, 12, 31))
    state(ledger, 2024, {"1000": (100, 600)})
    state(ledger, 2025, {"1000": (999, 999)})
    assert broken(ledger) == {}


def test_branches_add_up_and_only_those_that_both_years_state(ledger: Ledger) -> None:
    ledger.balance("1000", "202412", "0", "600", branch="1")
    ledger.balance("1000", "202412", "0", "50", branch="2")
    ledger.balance("1000", "202501", "610", "610", branch="1")
    ledger.balance("1000", "202501", "40", "41", branch="2")
    ledger.balance("1000", "202501", "7", "8", branch="3")
    assert broken(ledger) == {}
    ledger.balance("1300", "202412", "0", "600", branch="1")
    ledger.balance("1300", "202501", "599", "599", branch="1")
    assert broken(ledger) == {"2025": {"1300": Decimal(-1)}}


def test_an_account_of_unknown_kind_may_be_one_of_the_result(ledger: Ledger) -> None:
    state(ledger, 2024, {"9999": (0, 80), "9998": (0, 80)})
    state(ledger, 2025, {"9999": (0, 5), "9998": (70, 75)})
    assert broken(ledger) == {"2025": {"9998": Decimal(-10)}}


@pytest.mark.parametrize(
    ("name", "differences"),
    [
        ("avendo.se", {}),
        ("avendo-small.se", {}),
        ("bl-administration.se", {}),
        ("visma-administration-2000.se", {}),
        ("mamut-enterprise.se", {"2099": "0.10", "2611": "-443497.10", "2650": "443497.00"}),
    ],
)
def test_years_of_real_programs(
    ledger: Ledger, shared_reference: Path, name: str, differences: dict[str, str]
) -> None:
    """The closing and opening balances of SIE files. Mamut moved VAT between two accounts and lost 0.10."""
    file = sie.read(shared_reference / "sie" / name)
    before, year = file.years[-1], file.years[0]
    kinds = {"1": "asset", "2": "liability", "3": "income"}
    for code in {*before.stated, *year.opening}:
        ledger.account(code, code, kinds.get(code[0], "expense"))
    for code, amount in before.stated.items():
        ledger.balance(code, "201012", "0", str(amount))
    for code, amount in year.opening.items():
        ledger.balance(code, "201101", str(amount), str(amount))
    assert broken(ledger).get("2011", {}) == {code: Decimal(amount) for code, amount in differences.items()}


Appropriation = Callable[[dict[str, int], int, Random], None]


def _leave(opening: dict[str, int], result: int, random: Random) -> None:
    del opening, result, random


def _give_to_one(opening: dict[str, int], result: int, random: Random) -> None:
    opening[random.choice(["0500", "0510"])] += result


def _share(opening: dict[str, int], result: int, random: Random) -> None:
    del random
    opening["0500"] += result // 2
    opening["0510"] += result - result // 2


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("appropriate", [_leave, _give_to_one, _share])
def test_only_what_was_changed_between_years_is_named(
    ledger: Ledger, appropriate: Appropriation, seed: int
) -> None:
    """Books of random movements over random years join, until one opening balance is changed."""
    random = Random(f"{seed} {appropriate.__name__}")
    opening = {"1000": 5_000, "1300": 900, "1600": -1_900, "0500": -3_000, "0510": -1_000}
    changed: dict[str, dict[str, Decimal]] = {}
    for year in range(2020, 2020 + random.randint(2, 5)):
        closing = {**opening, "4000": 0, "8000": 0}
        for _entry in range(random.randint(1, 9)):
            debit, credit = random.sample(["1000", "1300", "1600", "4000", "8000"], 2)
            amount = random.randint(1, 400)
            closing[debit] += amount
            closing[credit] -= amount
        state(ledger, year, {code: (opening.get(code, 0), closing[code]) for code in closing})
        result = closing["4000"] + closing["8000"]
        opening = {code: closing[code] for code in opening}
        appropriate(opening, result, random)
        if random.random() < 0.3:
            opening["1300"] += 77
            changed[str(year + 1)] = {"1300": Decimal(77)}
    changed.pop(str(year + 1), None)
    assert broken(ledger) == changed
