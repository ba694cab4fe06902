"""The pages of the books: what an accountant reads, and where each figure leads."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from koppel.books.reports.trial_balance import AccountBalance
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of
from tests.fixtures.people import signed_in


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def ledger(anna: Actor) -> Ledger:
    """Accounts of three kinds and one of none, entries in two quarters, and what the source states of one."""
    new_ledger = Ledger(administration_of(anna))
    for code, name, kind in (
        ("1000", "Bank", "asset"),
        ("1300", "Debiteuren", "asset"),
        ("4000", "Huur", "expense"),
        ("8000", "Omzet", "income"),
        ("9999", "Tussenrekening", ""),
    ):
        new_ledger.account(code, name, kind)
    new_ledger.balance("1000", "202601", "100.00", "350.00")
    new_ledger.balance("1000", "202605", "350.00", "300.00")
    new_ledger.entry("1", "202601", ("1000", "250.00", "0"), ("8000", "0", "250.00"))
    new_ledger.entry("2", "202605", ("4000", "50.00", "0"), ("1000", "0", "50.00"))
    new_ledger.entry("3", "202605", ("9999", "7.00", "0"), ("1300", "0", "7.00"))
    return new_ledger


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


def home(ledger: Ledger) -> str:
    return f"/administrations/{ledger.administration.pk}/books/"


def rows_of(html: str) -> list[list[str]]:
    """The texts of the cells of each row of the page's table."""
    table = html[html.index("<table") : html.index("</table>")]
    return [
        [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<t[dh].*?</t[dh]>", row, re.S)
        ]
        for row in re.findall(r"<tr.*?</tr>", table, re.S)
    ]


def test_a_trial_balance_has_groups_with_subtotals_and_dashes_for_zero(
    browser: Client, ledger: Ledger
) -> None:
    header, *rows = rows_of(browser.get(f"{home(ledger)}trial-balance/").content.decode())
    assert header == ["Account", "Name", "Opening balance", "Debit", "Credit", "Closing balance"]
    assert [row[0] for row in rows] == [
        *("Assets", "1000", "1300", "Total assets"),
        *("Income", "8000", "Total income"),
        *("Expenses", "4000", "Total expenses"),
        *("Other accounts", "9999", "Total other accounts", "Total"),
    ]
    assert rows[1] == ["1000", "Bank", "100.00", "250.00", "50.00", "300.00"]
    assert rows[2] == ["1300", "Debiteuren", "–", "–", "7.00", "−7.00"]
    assert rows[3] == ["Total assets", "100.00", "250.00", "57.00", "293.00"]
    assert rows[-1] == ["Total", "100.00", "307.00", "307.00", "100.00"]


def test_what_the_source_states_is_a_column_only_where_something_differs(
    browser: Client, ledger: Ledger
) -> None:
    html = browser.get(f"{home(ledger)}trial-balance/").content.decode()
    assert "Difference" not in html
    with organisation_scope(ledger.administration.organisation_id):
        ledger.balance("1300", "202605", "0", "5.34")
    html = browser.get(f"{home(ledger)}trial-balance/").content.decode()
    header, *rows = rows_of(html)
    assert header[-1] == "Difference"
    assert "1 account does not match" in html
    assert next(row for row in rows if row[0] == "1300")[-2:] == ["5.34", "−12.34"]
    only = rows_of(browser.get(f"{home(ledger)}trial-balance/?only=differences").content.decode())
    assert [row[0] for row in only[1:4]] == ["Assets", "1300", "Total assets"]
    assert {"4000", "8000", "9999"} < {row[0] for row in only}, "The source states nothing of them."
    assert "1000" not in {row[0] for row in only}


def test_a_trial_balance_matches_only_when_nothing_is_missing(browser: Client, ledger: Ledger) -> None:
    def text() -> str:
        html = browser.get(f"{home(ledger)}trial-balance/").content.decode()
        return " ".join(re.sub(r"<[^>]+>", " ", html).split())

    assert "Matches" not in text()
    assert "Does not add up to zero: opening 100.00, closing 100.00" in text()
    assert "states no balance of 4 accounts" in text()
    stated = {"1300": ("-100", "-107"), "4000": ("0", "50"), "8000": ("0", "-250"), "9999": ("0", "7")}
    for account, (opening, closing) in stated.items():
        ledger.balance(account, "202601", opening, closing)
    assert "Matches" in text()
    assert "add up" not in text()
    assert "states no balance" not in text()


def test_a_trial_balance_of_many_accounts_compares_each_a_few_times(
    browser: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2000, 2060):
        ledger.balance(str(number), "202605", "0", "1.00")
    compare = AccountBalance.difference.fget
    compared: list[AccountBalance] = []

    def count(balance: AccountBalance) -> Any:
        compared.append(balance)
        return compare(balance)  # type: ignore[misc]

    monkeypatch.setattr(AccountBalance, "difference", property(count))
    html = browser.get(f"{home(ledger)}trial-balance/").content.decode()
    assert "60 accounts do not match" in html
    assert len(compared) < 5 * 65


def test_periods_from_and_until_move_what_came_earlier_into_the_opening_balance(
    browser: Client, ledger: Ledger
) -> None:
    def bank(query: str) -> list[str]:
        rows = rows_of(browser.get(f"{home(ledger)}trial-balance/?{query}").content.decode())
        return next(row[2:] for row in rows if row[0] == "1000")

    assert bank("year=2026&since=04&until=06") == ["350.00", "–", "50.00", "300.00"]
    assert bank("year=2026&since=202601&until=202603") == ["100.00", "250.00", "–", "350.00"]
    assert bank("since=&until=") == ["100.00", "250.00", "50.00", "300.00"]
    page = f"{home(ledger)}trial-balance/?since=02&until=05"
    html = browser.get(page).content.decode()
    assert re.search(r'value="02" selected.*value="05" selected', html, re.S)
    assert 'data-from="01" data-until="03"' in " ".join(html.split())
    assert "since=02&amp;until=05&amp;format=csv" in html, "the export is what is on screen"
    file = b"".join(browser.get(f"{page}&format=plain-csv"))  # type: ignore[arg-type]
    assert "1000,Bank,350" in file.decode()
    periods = rows_of(browser.get(f"{page}&view=periods").content.decode())
    assert periods[0][2:] == [
        "Opening balance",
        "2026-02",
        "2026-03",
        "2026-04",
        "2026-05",
        "Closing balance",
    ]
    for nonsense in ("since=2025-01", "since=x", "until=202501", "since=1"):
        assert browser.get(f"{home(ledger)}trial-balance/?{nonsense}").status_code == 422, nonsense


def test_an_entry_leads_back_to_the_account_or_the_list_that_it_was_opened_from(
    browser: Client, ledger: Ledger
) -> None:
    card = f"{home(ledger)}account/1000/?q=GL&year=2026"
    link = re.search(r'href="([^"]*/entry/GL1/[^"]*)"', browser.get(card).content.decode())
    assert link is not None
    entry = browser.get(link[1].replace("&amp;", "&")).content.decode()
    back = re.search(r'<p class="back">\s*<a href="([^"]*)">(.*?)</a>', entry, re.S)
    assert back is not None
    assert "1000 Bank" in " ".join(back[2].split())
    assert browser.get(back[1].replace("&amp;", "&")).context["code"] == "1000"
    assert "year=2026" in back[1]
    listed = browser.get(f"{home(ledger)}entries/").content.decode()
    link = re.search(r'href="([^"]*/entry/GL1/[^"]*)"', listed)
    assert link is not None
    entry = browser.get(link[1]).content.decode()
    assert re.search(rf'<p class="back">\s*<a href="{home(ledger)}entries/', entry)
    assert browser.get(f"{home(ledger)}entry/GL1/?account=4711").status_code == 422


def test_a_contact_has_its_name_and_leads_to_its_record(browser: Client, ledger: Ledger) -> None:
    with organisation_scope(ledger.administration.organisation_id):
        ledger.contact("C 10", "Bakkerij Vos")
        ledger.entry("7", "202606", ("1300", "9.00", "0"), ("8000", "0", "9.00"), contact="C 10")
    for path in ("account/1300/", "entry/GL7/"):
        html = browser.get(home(ledger) + path).content.decode()
        link = re.search(r'href="([^"]*/contacts/\?q=[^"]*)">Bakkerij Vos</a>', html)
        assert link is not None, path
        assert "Bakkerij Vos" in browser.get(link[1]).content.decode()


def test_every_table_is_reached_from_one_row_and_says_what_it_holds(browser: Client, ledger: Ledger) -> None:
    html = browser.get(f"{home(ledger)}journals/").content.decode()
    tabs = html[html.index('<nav class="subtabs') : html.index("</nav>", html.index('<nav class="subtabs'))]
    reached = set(re.findall(r"/books/([a-z_-]*)/?\"", tabs))
    assert reached >= {"", "trial-balance", "entries", "contacts", "vat_codes", "journals", "periods"}
    assert re.search(r"<button[^>]*aria-current=\"page\"[^>]*>\s*Journals", tabs)
    for table in reached - {"", "trial-balance"}:
        assert browser.get(f"{home(ledger)}{table}/").status_code == 200, table


def test_the_result_is_compared_with_the_same_periods_of_the_year_before(
    browser: Client, ledger: Ledger
) -> None:
    with organisation_scope(ledger.administration.organisation_id):
        ledger.entry("8", "202503", ("1000", "90.00", "0"), ("8000", "0", "90.00"))
        ledger.entry("9", "202512", ("1000", "900.00", "0"), ("8000", "0", "900.00"))
    html = browser.get(f"{home(ledger)}chart/").content.decode()
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "Result 2026" in text
    assert "Income 250.00 2025: 90.00" in text
    assert "Result 200.00 2025: 90.00" in text


def test_an_entry_in_another_currency_shows_its_amounts_in_that_currency(
    browser: Client, ledger: Ledger
) -> None:
    foreign = {"currency": "EUR", "debit_in_currency": Decimal("100"), "credit_in_currency": Decimal(0)}
    ledger.entry("11", "202605", ("1000", "1150.00", "0"), in_currency=foreign, currency="EUR")
    header, row, _total = rows_of(browser.get(f"{home(ledger)}entry/GL11/").content.decode())
    assert header[-3:] == ["Amount in currency", "Debit", "Credit"]
    assert row[-3:] == ["EUR 100.00", "1,150.00", "–"]
    plain = browser.get(f"{home(ledger)}entry/GL1/").content.decode()
    assert "Amount in currency" not in plain
