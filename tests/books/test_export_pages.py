"""Every export has the rows that are on screen, in the language of the reader."""

import csv
import io
import re
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of
from tests.fixtures.people import signed_in


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def ledger(anna: Actor) -> Ledger:
    """Two accounts that differ from nothing, one that does, a second period, an entry on hold."""
    new_ledger = Ledger(administration_of(anna))
    for code, name, kind in (
        ("1000", "Bank", "asset"),
        ("1300", "customer", "asset"),
        ("8000", "Omzet", "income"),
    ):
        new_ledger.account(code, name, kind)
    new_ledger.balance("1000", "202601", "88781.1100", "89031.1100")
    new_ledger.balance("8000", "202601", "0", "-249")
    new_ledger.entry("1", "202601", ("1000", "250", "0"), ("8000", "0", "250"), description="Verkoop")
    new_ledger.entry("2", "202602", ("1300", "-0.105", "0"), ("8000", "0", "-0.105"), description="both")
    new_ledger.entry("3", "202602", ("1300", "5", "0"), ("8000", "0", "5"), status="hold")
    return new_ledger


@pytest.fixture
def dutch(anna: Actor) -> Client:
    client = signed_in(anna)
    client.cookies["koppel_language"] = "nl"
    return client


def home(ledger: Ledger) -> str:
    return f"/administrations/{ledger.administration.pk}/books/"


def fetch(client: Client, path: str) -> bytes:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def table(client: Client, path: str) -> list[list[str]]:
    """A CSV as Dutch Excel reads it."""
    text = fetch(client, path).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text), delimiter=";"))


def export_link(client: Client, path: str, file_format: str = "csv") -> str:
    """The link on the page, as its reader follows it."""
    match = re.search(rf'href="([^"]*)format={file_format}"', client.get(path).content.decode())
    assert match is not None, path
    return path.partition("?")[0] + match[1].replace("&amp;", "&") + f"format={file_format}"


def test_accounts_are_exported_with_the_four_balances_of_the_page(dutch: Client, ledger: Ledger) -> None:
    header, *rows = table(dutch, export_link(dutch, home(ledger)))
    assert header == ["Code", "Naam", "Soort", "Beginsaldo", "Debet", "Credit", "Eindsaldo"]
    assert rows[0] == ["1000", "Bank", "Activa", "88781,11", "250,00", "0,00", "89031,11"]
    assert rows[1] == ["1300", "customer", "Activa", "0,00", "-0,11", "0,00", "-0,11"], "a name stays a name"
    rows = table(dutch, export_link(dutch, f"{home(ledger)}?q=omzet"))
    assert [row[0] for row in rows[1:]] == ["8000"]


def test_entries_have_dutch_dates_periods_and_words(dutch: Client, ledger: Ledger) -> None:
    header, *rows = table(dutch, export_link(dutch, f"{home(ledger)}entries/"))
    assert header[:7] == ["Record-ID", "Dagboek", "Module", "Nummer", "Periode", "Datum", "Omschrijving"]
    assert header[7:] == ["Grootboek", "Soort grootboek", "Status", "Valuta", "Totaal debet", "Totaal credit"]
    first = ["GL1", "GL", "GL", "1", "2026-01", "15-01-2026", "Verkoop"]
    second = ["GL2", "GL", "GL", "2", "2026-02", "15-02-2026", "both"]
    assert [*first, "", "Werkelijk", "Geboekt", "", "250,00", "250,00"] in rows
    assert [*second, "", "Werkelijk", "Geboekt", "", "-0,11", "-0,11"] in rows
    assert {row[9] for row in rows} == {"Geboekt", "In de wacht"}
    assert len(table(dutch, export_link(dutch, f"{home(ledger)}entries/?q=verkoop"))) == 2


def test_english_is_written_as_english_spreadsheets_expect(anna: Actor, ledger: Ledger) -> None:
    text = fetch(signed_in(anna), f"{home(ledger)}entries/?q=verkoop&format=csv").decode("utf-8-sig")
    assert text.splitlines()[1] == ("GL1,GL,GL,1,2026-01,2026-01-15,Verkoop,,Actual,Posted,,250.00,250.00")


def test_the_table_per_period_is_exported_per_period(dutch: Client, ledger: Ledger) -> None:
    page = f"{home(ledger)}trial-balance/?year=2026&view=periods"
    rows = table(dutch, export_link(dutch, page))
    assert rows == [
        ["Grootboekrekening", "Naam", "Beginsaldo", "2026-01", "2026-02", "Eindsaldo"],
        ["1000", "Bank", "88781,11", "250,00", "", "89031,11"],
        ["1300", "customer", "0,00", "", "-0,11", "-0,11"],
        ["8000", "Omzet", "0,00", "-250,00", "0,11", "-249,90"],
    ]
    until = table(dutch, export_link(dutch, f"{page}&until=202601"))
    assert until[0][2:] == ["Beginsaldo 2026-01", "2026-01", "Eindsaldo 2026-01"]


def test_only_differences_are_exported_where_only_these_are_shown(dutch: Client, ledger: Ledger) -> None:
    page = f"{home(ledger)}trial-balance/?year=2026&only=differences"
    html = dutch.get(page).content.decode()
    rows = table(dutch, export_link(dutch, page))
    assert [row[0] for row in rows[1:]] == re.findall(r"/account/(\d+)/\?year", html) != []


def test_the_account_card_is_exported_with_its_running_balance(dutch: Client, ledger: Ledger) -> None:
    page = f"{home(ledger)}account/1300/?year=2026"
    header, *rows = table(dutch, export_link(dutch, page))
    assert header[:6] == ["Datum", "Periode", "Dagboek", "Nummer", "Status", "Soort grootboek"]
    first = ["15-02-2026", "2026-02", "GL", "2", "Geboekt", "Werkelijk", "both"]
    assert rows[0] == [*first, "", "-0,11", "0,00", "-0,11"]
    assert (rows[1][4], rows[1][-1]) == ("In de wacht", "-0,11")
    with organisation_scope(ledger.administration.organisation_id):
        for number in range(10, 10 + 201):
            ledger.entry(str(number), "202603", ("1300", "1", "0"), ("8000", "0", "1"))
    rows = table(dutch, export_link(dutch, page))
    assert len(rows) == 1 + 2 + 201, "all pages"
    assert rows[-1][-1] == "200,90"
    sheet = openpyxl.load_workbook(io.BytesIO(fetch(dutch, export_link(dutch, page, "xlsx")))).active
    assert (sheet.title, sheet.auto_filter.ref) == ("Grootboekrekening 1300", "A1:K204")


def test_excel_has_types_and_dutch_words(dutch: Client, ledger: Ledger) -> None:
    sheet = openpyxl.load_workbook(io.BytesIO(fetch(dutch, f"{home(ledger)}entries/?format=xlsx"))).active
    row = next(row for row in sheet.iter_rows(min_row=2) if row[3].value == "1")
    assert sheet.title == "Boekingen"
    assert (row[5].is_date, row[5].number_format) == (True, "dd-mm-yyyy")
    assert [row[at].value for at in (4, 1, 3, 6, 9)] == ["2026-01", "GL", "1", "Verkoop", "Geboekt"]
    assert (row[3].data_type, row[11].data_type, Decimal(str(row[11].value))) == ("s", "n", Decimal(250))


def test_programs_get_codes_keys_and_exact_amounts_in_every_language(dutch: Client, ledger: Ledger) -> None:
    lines = fetch(dutch, f"{home(ledger)}?q=bank&format=plain-csv").decode().splitlines()
    assert lines == [
        "code,name,kind,opening,debit,credit,closing",
        "1000,Bank,asset,88781.1100,250,0,89031.1100",
    ]


@pytest.mark.parametrize("file_format", ["csv", "xlsx", "parquet", "plain-csv"])
def test_the_list_is_exported_as_it_is_shown(dutch: Client, ledger: Ledger, file_format: str) -> None:
    path = f"/administrations/export.{file_format}?columns=name.status.imported&q=bakkerij"
    content = fetch(dutch, path)
    if file_format == "csv":
        header, row = csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";")
        assert row[:2] == ["Bakkerij De Haan B.V.", "Actief"]
        assert re.fullmatch(r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d", row[2])
        assert header[0] == "Naam"
    if file_format == "plain-csv":
        header, row = csv.reader(io.StringIO(content.decode()))
        assert (header, row[1]) == (["name", "status", "imported"], "active")
    assert dutch.get("/administrations/export.pdf").status_code == 404
