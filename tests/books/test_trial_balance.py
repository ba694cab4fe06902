"""The trial balance against ledgers small enough to check by hand."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from koppel.books.models import Account
from koppel.books.read import queries
from koppel.books.reports.period_selection import fiscal_years
from koppel.books.reports.period_totals import movement_by_period, result_by_period
from koppel.books.reports.trial_balance import (
    TrialBalance,
    differing_accounts,
    trial_balance,
    unbalanced_openings,
)
from koppel.kit.tenancy import organisation_scope
from tests.books.factories import NOW, Ledger, administration_of


@pytest.fixture
def ledger(actor: Any) -> Ledger:
    """Two accounts of the balance sheet, one of income, one of cost; two periods of 2026."""
    new_ledger = Ledger(administration_of(actor("administrator")))
    new_ledger.account("1000", "Bank")
    new_ledger.account("1300", "Debiteuren")
    new_ledger.account("4000", "Huur", "expense")
    new_ledger.account("8000", "Omzet", "income")
    new_ledger.balance("1000", "202601", "100.00", "350.00")
    new_ledger.balance("1000", "202602", "350.00", "300.00")
    new_ledger.balance("8000", "202601", "0", "-250.00")
    new_ledger.entry("1", "202601", ("1000", "250.00", "0"), ("8000", "0", "250.00"))
    new_ledger.entry("2", "202602", ("4000", "50.00", "0"), ("1000", "0", "50.00"))
    return new_ledger


def read(ledger: Ledger, until: str = "202699") -> dict[str, Any]:
    with organisation_scope(ledger.administration.organisation_id):
        return {one.code: one for one in trial_balance(ledger.administration.pk, "2026", until).accounts}


def test_closing_is_opening_plus_movement_and_equals_the_source(ledger: Ledger) -> None:
    bank = read(ledger)["1000"]
    assert (bank.opening, bank.debit, bank.credit, bank.closing) == tuple(
        map(Decimal, ("100", "250", "50", "300"))
    )
    assert bank.stated == Decimal("300.00")
    assert bank.difference == 0


def test_until_a_period_compares_with_the_closing_of_that_period(ledger: Ledger) -> None:
    bank = read(ledger, "202601")["1000"]
    assert (bank.closing, bank.stated) == (Decimal("350"), Decimal("350"))


def test_an_account_without_a_statement_is_shown_and_not_called_different(ledger: Ledger) -> None:
    rent = read(ledger)["4000"]
    assert rent.stated is None
    assert rent.difference is None
    assert rent.closing == Decimal("50")


def test_a_difference_is_ours_less_the_source(ledger: Ledger) -> None:
    ledger.balance("1300", "202602", "0", "12.34")
    debtors = read(ledger)["1300"]
    assert debtors.difference == Decimal("-12.34")


def test_the_check_of_all_years_finds_what_the_trial_balance_of_each_year_shows(ledger: Ledger) -> None:
    """They are two statements, because one page looks at one year; they must not come to differ in what they
    count.
    """
    ledger.balance("1300", "202602", "0", "12.34")
    ledger.balance("1000", "202501", "10", "20", branch="2")
    ledger.balance("8000", "202502", "0", "-5.00")
    ledger.entry("3", "202502", ("4000", "7.00", "0"), ("8000", "0", "7.00"))
    ledger.entry("4", "202602", ("1000", "9.00", "0"), ("8000", "0", "9.00"), status="hold")
    administration = ledger.administration
    with organisation_scope(administration.organisation_id):
        by_year = {
            year: [
                (account.code, account.difference)
                for account in trial_balance(administration.pk, year, last).differing
            ]
            for year, last in fiscal_years(administration.pk).items()
        }
        assert differing_accounts(administration.pk) == by_year
    assert by_year["2025"] == [("1000", Decimal(-10)), ("8000", Decimal(-2))]
    assert by_year["2026"] == [("1300", Decimal("-12.34"))]


def test_only_posted_entries_of_the_actual_ledger_count(ledger: Ledger) -> None:
    ledger.entry("3", "202602", ("1000", "999", "0"), ("8000", "0", "999"), status="unposted")
    ledger.entry("4", "202602", ("1000", "777", "0"), ("8000", "0", "777"), balance_type="budget")
    assert read(ledger)["1000"].closing == Decimal("300")


def test_branches_of_an_account_add_up(ledger: Ledger) -> None:
    ledger.balance("1300", "202601", "10", "10", branch="1")
    ledger.balance("1300", "202602", "5", "7", branch="2")
    debtors = read(ledger)["1300"]
    assert (debtors.opening, debtors.stated) == (Decimal("15"), Decimal("17"))


@pytest.mark.parametrize("bank", ["1000", "202601"])
def test_subaccounts_of_an_account_add_up(ledger: Ledger, bank: str) -> None:
    """The source states each apart, from the first period in which it moved, and names neither in its
    entries.
    """
    if bank != "1000":
        ledger.balance(bank, "202601", "100.00", "350.00")
        ledger.balance(bank, "202602", "350.00", "300.00")
        ledger.entry("3", "202601", (bank, "250.00", "50.00"))
    ledger.balance(bank, "202601", "20.00", "20.00", part="B")
    ledger.balance(bank, "202602", "20.00", "25.00", part="B")
    ledger.balance(bank, "202602", "7.00", "7.00", part="C")
    ledger.entry("4", "202602", (bank, "5.00", "0"), ("8000", "0", "5.00"))
    balance = read(ledger)[bank]
    assert (balance.opening, balance.stated, balance.difference) == (Decimal("127"), Decimal("332"), 0)
    with organisation_scope(ledger.administration.organisation_id):
        assert bank not in dict(differing_accounts(ledger.administration.pk).get("2026", []))


def report_of(ledger: Ledger, until: str = "202699") -> TrialBalance:
    with organisation_scope(ledger.administration.organisation_id):
        return trial_balance(ledger.administration.pk, "2026", until)


def test_it_matches_when_every_account_in_use_agrees_and_the_totals_are_zero(ledger: Ledger) -> None:
    """What is missing first: the source states no rent, and of the opening balances only the bank's."""
    ledger.balance("8000", "202602", "-250.00", "-250.00")
    report = report_of(ledger)
    assert [account.code for account in report.unstated] == ["4000"]
    assert report.unmatched == report.unstated
    assert (report.is_checked, report.is_balanced, report.is_matched) == (True, False, False)
    ledger.balance("4000", "202602", "0", "50.00")
    assert not report_of(ledger).unmatched
    assert not report_of(ledger).is_matched, "100.00 opens the books and has no other side"
    ledger.balance("1300", "202602", "-100.00", "-100.00")
    assert report_of(ledger).is_matched
    ledger.balance("1300", "202603", "-100.00", "-90.00")
    assert not report_of(ledger).is_matched


def test_years_are_named_whose_opening_balances_do_not_add_up_to_zero(ledger: Ledger) -> None:
    ledger.balance("1000", "202501", "100", "100", part="A")
    ledger.balance("1300", "202503", "-100", "-120")
    with organisation_scope(ledger.administration.organisation_id):
        assert unbalanced_openings(ledger.administration.pk) == {"2026": Decimal(100)}


def test_a_balance_that_is_stated_later_in_the_year_is_its_opening_until_then(ledger: Ledger) -> None:
    """The source states only periods in which an account moved."""
    ledger.balance("1300", "202609", "-100.00", "-90.00")
    debtors = read(ledger, "202602")["1300"]
    assert (debtors.opening, debtors.closing, debtors.stated) == tuple(map(Decimal, (-100, -100, -100)))
    assert debtors.difference == 0


def test_lines_on_an_undeclared_account_are_shown(ledger: Ledger) -> None:
    ledger.entry("5", "202602", ("9999", "1", "0"), ("1000", "0", "1"))
    assert read(ledger)["9999"].closing == Decimal("1")
    assert read(ledger)["9999"].name == ""


def test_years_periods_and_result(ledger: Ledger) -> None:
    pk = ledger.administration.pk
    with organisation_scope(ledger.administration.organisation_id):
        assert fiscal_years(pk) == {"2026": "202602"}
        assert movement_by_period(pk, "2026")[("1000", "202602")] == Decimal("-50")
        income, cost = ((one.income, one.cost) for one in result_by_period(pk, "2026"))
        assert (income, cost) == ((Decimal("250"), Decimal("0")), (Decimal("0"), Decimal("50")))


def test_the_result_keeps_the_entries_of_an_account_that_was_deleted_at_the_source(ledger: Ledger) -> None:
    with organisation_scope(ledger.administration.organisation_id):
        Account.objects.filter(code="8000").update(deleted_at=NOW)
        Account.objects.filter(code="4000").update(deleted_at=NOW)
    ledger.account("4000", "Huur", "expense", key="4000 again")
    with organisation_scope(ledger.administration.organisation_id):
        results = result_by_period(ledger.administration.pk, "2026")
    assert [(row.income, row.cost) for row in results] == [(Decimal(250), 0), (0, Decimal(50))]


def test_the_result_of_a_year_is_that_before_the_entries_that_close_it(ledger: Ledger) -> None:
    ledger.account("0500", "Eigen vermogen", "liability")
    ledger.period("202612", date(2026, 12, 1), date(2026, 12, 31))
    ledger.entry("8", "202612", ("8000", "250", "0"), ("0500", "0", "250"))

    def results() -> dict[str, tuple[Decimal, Decimal]]:
        with organisation_scope(ledger.administration.organisation_id):
            rows = result_by_period(ledger.administration.pk, "2026")
        return {row.period: (row.income, row.cost) for row in rows}

    assert results()["202612"] == (Decimal(-250), 0), "Cost is left, so nothing was closed."
    ledger.entry("9", "202612", ("4000", "0", "50"), ("0500", "50", "0"))
    assert results() == {"202601": (Decimal(250), 0), "202602": (0, Decimal(50))}


def test_a_credit_note_closes_no_year(ledger: Ledger) -> None:
    ledger.period("202612", date(2026, 12, 1), date(2026, 12, 31))
    ledger.entry("8", "202612", ("8000", "250", "0"), ("1300", "0", "250"))
    ledger.entry("9", "202612", ("4000", "0", "50"), ("1000", "50", "0"))
    with organisation_scope(ledger.administration.organisation_id):
        results = result_by_period(ledger.administration.pk, "2026")
    assert [(row.income, row.cost) for row in results][-1] == (Decimal(-250), Decimal(-50))


def test_an_entry_of_a_budget_makes_no_year(ledger: Ledger) -> None:
    ledger.entry("9", "202701", ("4000", "1", "0"), balance_type="budget")
    with organisation_scope(ledger.administration.organisation_id):
        assert list(fiscal_years(ledger.administration.pk)) == ["2026"]


def test_an_account_ledger_starts_from_the_opening_balance(ledger: Ledger) -> None:
    with organisation_scope(ledger.administration.organisation_id):
        card = queries.account_ledger(ledger.administration.pk, "1000", "2026", opening=Decimal("100"))
        assert [(line.number, line.balance) for line in card.lines] == [
            ("1", Decimal("350")),
            ("2", Decimal("300")),
        ]
        page = queries.account_ledger(
            ledger.administration.pk, "1000", "2026", opening=Decimal("100"), search="gl 2"
        )
        assert [(line.number, line.balance) for line in page.lines] == [("2", Decimal("300"))]
        assert page.total == 1


def test_search_treats_wildcards_as_text(ledger: Ledger) -> None:
    ledger.account("4001", "Huur 100%", "expense")
    with organisation_scope(ledger.administration.organisation_id):
        assert queries.list_rows(ledger.administration.pk, "accounts", search="100%").total == 1
        assert queries.list_rows(ledger.administration.pk, "accounts", search="%").total == 1
        assert queries.list_rows(ledger.administration.pk, "accounts", search="huur").total == 2
