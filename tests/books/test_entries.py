"""Entries on their page and on the card of an account: contacts, totals, deleted entries."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from koppel.books.models import Entry, EntryLine
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import NOW, Ledger, administration_of
from tests.books.test_pages import home, rows_of
from tests.fixtures.people import signed_in


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def ledger(anna: Actor) -> Ledger:
    new_ledger = Ledger(administration_of(anna))
    new_ledger.account("1300", "Debiteuren")
    new_ledger.account("8000", "Omzet", "income")
    return new_ledger


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


def sale(ledger: Ledger, number: str, **fields: Any) -> None:
    ledger.entry(number, "202601", ("1300", "20.00", "0"), ("8000", "0", "20.00"), **fields)


def update(ledger: Ledger, model: Any, external_id: str, **fields: Any) -> None:
    with organisation_scope(ledger.administration.organisation_id):
        model.objects.filter(external_id__startswith=external_id).update(**fields)


def head_of(html: str) -> str:
    start = html.index('<header class="report-head">')
    return " ".join(html[start : html.index("</header>", start)].split())


def test_a_customer_and_a_supplier_with_the_same_code_keep_their_own_names(
    browser: Client, ledger: Ledger
) -> None:
    for code, name, kind in (
        ("100", "Bakkerij Vos", "customer"),
        ("100", "Molen De Hoop", "supplier"),
        ("200", "Garage Smit", "supplier"),
    ):
        ledger.contact(code, name, kind)
    contacts = {
        "1": ("AR", "100"),
        "2": ("AP", "100"),
        "3": ("GL", "100"),
        "4": ("GL", "200"),
        "5": ("AR", "200"),
    }
    for number, (module, contact) in contacts.items():
        sale(ledger, number, module=module, contact=contact)
    contact_texts = ["Bakkerij Vos 100", "Molen De Hoop 100", "100", "Garage Smit 200", "200"]
    card = rows_of(browser.get(f"{home(ledger)}account/1300/").content.decode())
    assert [row[4] for row in card[1:]] == contact_texts
    entries = [
        rows_of(browser.get(f"{home(ledger)}entry/GL{number}/").content.decode())[1][2] for number in contacts
    ]
    assert entries == contact_texts


def test_the_card_finds_lines_by_the_name_of_their_contact(browser: Client, ledger: Ledger) -> None:
    ledger.contact("100", "Bakkerij Vos")
    ledger.contact("100", "Molen De Hoop", "supplier")
    ledger.contact("300", "De Hoop 50% korting", "supplier")
    for number, module, contact in (
        ("1", "AR", "100"),
        ("2", "AP", "100"),
        ("3", "GL", "300"),
        ("4", "GL", None),
    ):
        sale(ledger, number, module=module, contact=contact)

    def entries_of(search: str) -> list[str]:
        html = browser.get(f"{home(ledger)}account/1300/", {"q": search}).content.decode()
        return [row[1] for row in rows_of(html)[1:]] if "<table" in html else []

    assert entries_of("vos") == ["GL 1"]
    assert entries_of("hoop") == ["GL 2", "GL 3"]
    assert entries_of("50%") == ["GL 3"]
    assert entries_of("100") == ["GL 1", "GL 2"]
    assert entries_of("smit") == []
    file = b"".join(browser.get(f"{home(ledger)}account/1300/?q=vos&format=plain-csv"))
    assert len(file.decode().splitlines()) == 2


def test_a_deleted_entry_shows_the_lines_that_it_had(browser: Client, ledger: Ledger) -> None:
    sale(ledger, "1")
    update(ledger, EntryLine, "GL1|2", deleted_at=NOW)
    ledger.entry("1x", "202601", ("8000", "0", "20.00"))
    update(ledger, EntryLine, "GL1x|1", entry="GL1")
    deleted = NOW + timedelta(days=1)
    update(ledger, Entry, "GL1", deleted_at=deleted)
    update(ledger, EntryLine, "GL1|1", deleted_at=deleted)
    update(ledger, EntryLine, "GL1x|1", deleted_at=deleted)
    html = browser.get(f"{home(ledger)}entry/GL1/").content.decode()
    assert "Deleted in the accounting system" in head_of(html)
    assert "Balances" not in head_of(html)
    _header, *lines, total = rows_of(html)
    assert sorted(line[0] for line in lines) == ["1300", "8000"], "without what was deleted before"
    assert total == ["Total", "20.00", "20.00"]


def test_an_entry_whose_lines_do_not_add_up_to_its_total_says_so(browser: Client, ledger: Ledger) -> None:
    sale(ledger, "1")
    sale(ledger, "2", debit_total=Decimal("110.00"), credit_total=Decimal("110.00"))
    sale(ledger, "3", debit_total=Decimal("22.00"), credit_total=Decimal("22.00"))
    update(ledger, EntryLine, "GL3|1", debit_in_currency=Decimal("22.00"))
    update(ledger, EntryLine, "GL3|2", credit_in_currency=Decimal("22.00"))
    sale(ledger, "4", debit_total=Decimal(0), credit_total=Decimal(0))

    def page(number: str) -> str:
        return head_of(browser.get(f"{home(ledger)}entry/GL{number}/").content.decode())

    assert "states a total of 110.00, the lines add up to 20.00" in page("2")
    assert "Balances" not in page("2")
    for number in ("1", "3", "4"):
        assert "Balances" in page(number), number
    update(ledger, EntryLine, "GL1|", deleted_at=NOW)
    assert "states a total of 20.00, the lines add up to 0.00" in page("1")
