"""A range of periods: which are accepted, and that pages, exports, links and REST keep to it."""

import io
import re
from datetime import date
from typing import Any

import openpyxl
import pytest
from django.test import Client

from koppel.books.models import Period
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of
from tests.books.test_pages import home, rows_of
from tests.fixtures.people import signed_in


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def ledger(anna: Actor) -> Ledger:
    """A bank account that opens at 100 and receives 10 in January, 20 in March and 40 in June."""
    new_ledger = Ledger(administration_of(anna))
    new_ledger.account("1000", "Bank")
    new_ledger.account("8000", "Omzet", "income")
    new_ledger.balance("1000", "202601", "100.00", "110.00")
    for number, (period, amount) in enumerate({"202601": "10", "202603": "20", "202606": "40"}.items()):
        new_ledger.entry(str(number), period, ("1000", amount, "0"), ("8000", "0", amount))
    return new_ledger


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


def page(browser: Client, ledger: Ledger, query: str = "") -> str:
    return browser.get(f"{home(ledger)}{query}").content.decode()


def export(browser: Client, ledger: Ledger, path: str) -> tuple[str, bytes]:
    """Return the file name and content."""
    response = browser.get(f"{home(ledger)}{path}")
    return response["Content-Disposition"], b"".join(response)


@pytest.mark.parametrize(
    "query", ["since=06&until=02", "since=202606&until=202602", "since=13", "since=202613"]
)
def test_a_range_that_holds_no_period_is_refused_by_page_and_rest(
    browser: Client, ledger: Ledger, query: str
) -> None:
    for path in (f"{home(ledger)}trial-balance/", f"{home(ledger)}account/1000/"):
        assert browser.get(f"{path}?year=2026&{query}").status_code == 422, path
    rest = f"/api/v1/administrations/{ledger.administration.pk}/books/trial-balance"
    assert browser.get(f"{rest}?year=2026&{query}").status_code == 422
    assert browser.get(f"{home(ledger)}trial-balance/?year=2026&since=09").status_code == 200, (
        "of another year"
    )


def test_rest_has_the_range_of_the_page(browser: Client, ledger: Ledger) -> None:
    rest = f"/api/v1/administrations/{ledger.administration.pk}/books/trial-balance"
    answer = browser.get(f"{rest}?since=202602&until=03").json()
    assert (answer["fiscal_year"], answer["since"], answer["until"]) == ("2026", "202602", "202603")
    bank = answer["accounts"][0]
    assert [float(bank[name]) for name in ("opening", "debit", "credit", "closing")] == [110, 20, 0, 130]
    whole = browser.get(rest).json()
    assert (whole["since"], whole["until"], float(whole["accounts"][0]["closing"])) == (
        "202601",
        "202606",
        170,
    )


def test_a_figure_of_a_range_leads_to_the_card_of_that_range(browser: Client, ledger: Ledger) -> None:
    html = page(browser, ledger, "trial-balance/?year=2026&since=02&until=03")
    bank = next(row for row in rows_of(html) if row[0] == "1000")
    link = re.search(r'href="([^"]*/account/1000/[^"]*)"', html)
    assert link is not None
    card = browser.get(link[1].replace("&amp;", "&")).content.decode()
    figures = re.findall(r"<b>(.*?)</b>", card[card.index('class="figures"') :])
    assert figures[:3] == ["2026-02 – 2026-03", bank[2], bank[5]] == ["2026-02 – 2026-03", "110.00", "130.00"]
    assert [row[-1] for row in rows_of(card)[1:]] == ["130.00"]
    entry = re.search(r'href="([^"]*/entry/[^"]*)"', card)
    assert entry is not None
    back = re.search(
        r'class="back">\s*<a href="([^"]*)',
        page(browser, ledger, entry[1].split("/books/")[1].replace("&amp;", "&")),
    )
    assert back is not None
    assert "since=02&until=03" in back[1].replace("&amp;", "&")
    name, file = export(
        browser, ledger, f"account/1000/{link[1].split('/')[-1]}&format=plain-csv".replace("&amp;", "&")
    )
    assert "account-1000-202602-202603.csv" in name
    assert len(file.decode().splitlines()) == 2
    whole = page(browser, ledger, "trial-balance/?year=2026")
    assert re.search(r'/account/1000/\?year=2026"', whole)


def test_an_export_of_a_range_says_which(browser: Client, ledger: Ledger) -> None:
    whole, _file = export(browser, ledger, "trial-balance/?year=2026&format=csv")
    assert "trial-balance-2026.csv" in whole
    part = "trial-balance/?year=2026&since=02&until=03"
    name, file = export(browser, ledger, f"{part}&format=csv")
    assert "trial-balance-202602-202603.csv" in name
    heading = file.decode("utf-8-sig").splitlines()[0].split(",")
    assert heading[2:6] == ["Opening balance 2026-02", "Debit", "Credit", "Closing balance 2026-03"]
    name, file = export(browser, ledger, f"{part}&format=xlsx")
    assert openpyxl.load_workbook(io.BytesIO(file)).sheetnames == ["2026-02 – 2026-03"]
    _name, file = export(browser, ledger, f"{part}&format=plain-csv")
    assert file.decode().startswith("account,name,opening,debit,credit,closing,"), (
        "programs get the same keys"
    )
    name, _file = export(browser, ledger, f"{part}&only=differences&format=csv")
    assert "trial-balance-differences-202602-202603.csv" in name
    name, _file = export(browser, ledger, "?year=2026&until=03&format=csv")
    assert "accounts-202601-202603.csv" in name


def test_the_table_per_period_has_every_period_and_adds_up(browser: Client, ledger: Ledger) -> None:
    header, *rows = rows_of(page(browser, ledger, "trial-balance/?view=periods&since=02&until=04"))
    assert header[2:] == ["Opening balance", "2026-02", "2026-03", "2026-04", "Closing balance"]
    assert rows == [
        ["1000", "Bank", "110.00", "–", "20.00", "–", "130.00"],
        ["8000", "Omzet", "−10.00", "–", "−20.00", "–", "−30.00"],
        ["Total", "", "100.00", "–", "–", "–", "100.00"],
    ]
    name, file = export(browser, ledger, "trial-balance/?view=periods&since=02&until=04&format=plain-csv")
    assert "trial-balance-periods-202602-202604.csv" in name
    assert file.decode().splitlines()[1] == "1000,Bank,110.00,,20,,130.00"


def test_a_closing_period_leaves_the_quarters(browser: Client, ledger: Ledger) -> None:
    def quarters() -> list[str]:
        return re.findall(r">(Q\d)<", page(browser, ledger, "trial-balance/"))

    assert quarters() == ["Q1", "Q2"]
    ledger.entry("13", "202613", ("1000", "1", "0"), ("8000", "0", "1"))
    assert quarters() == ["Q1", "Q2", "Q3", "Q4"]
    days = {12: (date(2026, 12, 1), date(2026, 12, 31)), 13: (date(2026, 12, 31), date(2026, 12, 31))}
    for number, (starts_on, ends_on) in days.items():
        ledger.period(f"2026{number}", starts_on, ends_on)
    assert quarters() == ["Q1", "Q2", "Q3", "Q4"]
    with organisation_scope(ledger.administration.organisation_id):
        Period.objects.filter(number=13).update(starts_on=date(2027, 1, 1), ends_on=date(2027, 1, 28))
    assert quarters() == [], "thirteen periods of four weeks"
