"""Pages format periods for people; programs and files get the source's numbers."""

import json
import re
from typing import Any

import pytest

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.models import Connection
from koppel.connector.period_format import format_period
from koppel.connector.registry import connectors
from koppel.connectors.visma_net import normalise
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from tests.books.factories import Ledger, administration_of
from tests.fixtures.people import signed_in
from tests.web.factories import changed_run

BARE = re.compile(r">[^<]*\b20\d{4}\b")
"""Six digits of a period, in what a person reads."""


@pytest.mark.parametrize(
    ("period", "text"), [("202611", "2026-11"), ("202613", "2026-13"), ("", ""), ("P11", "P11")]
)
def test_a_period_is_formatted_as_year_and_number(period: str, text: str) -> None:
    assert format_period(period) == text


def test_every_page_formats_periods_and_files_and_rest_do_not(actor: Any) -> None:
    admin = actor()
    administration = administration_of(admin)
    ledger = Ledger(administration)
    ledger.account("1000", "Kas")
    ledger.account("8000", "Omzet", "income")
    ledger.entry("1", "202611", ("1000", "250.00", "0"), ("8000", "0", "250.00"))
    ledger.balance("1000", "202611", "0", "250.00")
    with organisation_scope(admin.organisation_id):
        Connection.objects.update(connector=next(iter(connectors())))
        facts = {"period": "202611", "count": 2, "run": changed_run(administration)}
        raise_issue(
            admin.organisation_id,
            "closed_period_changed",
            Subject(SubjectKind.ADMINISTRATION, administration.pk),
            facts,
        )
    browser, home = signed_in(admin), f"/administrations/{administration.pk}/"
    for path in (
        "",
        "books/",
        "books/chart/",
        "books/trial-balance/?view=periods",
        "books/entries/",
        "books/balances/",
        "books/account/1000/",
        "books/entry/GL1/",
    ):
        text = browser.get(home + path).content.decode()
        assert "2026-11" in text or path == "books/", path
        assert BARE.search(text) is None, path
    assert "2025-12" in browser.get(f"{home}sync/runs/{facts['run']}/").content.decode()
    for odd in ("²", "9" * 5000):
        assert browser.get(f"{home}sync/runs/{facts['run']}/", {"page": odd}).status_code == 422, (
            "a page that is none"
        )
    listed = browser.get(f"/api/v1/administrations/{administration.pk}/books/entries").json()["items"]
    assert [each["period"] for each in listed] == ["202611"]
    for file_format, written in (("csv", "2026-11"), ("plain-csv", "202611")):
        file = b"".join(browser.get(f"{home}books/entries/?format={file_format}"))  # type: ignore[arg-type]
        assert written in file.decode()


@pytest.mark.parametrize("period", ["2026300000", "2026999999999", "2026" + "9" * 5000, "202600", "2026x1"])
def test_a_period_that_no_fiscal_year_has_is_refused_by_name(period: str) -> None:
    record = {"module": "ModuleGL", "batchNumber": "1", "transactionDate": "2026-01-01"}
    balance = {"account": {"number": "1000"}, "financialPeriod": period}
    for refused in (
        lambda: normalise.entry(json.dumps({**record, "financialPeriod": period}).encode()),
        lambda: normalise.balance(json.dumps(balance).encode()),
        lambda: normalise.period(json.dumps({"year": 2026, "period": period}).encode()),
    ):
        with pytest.raises(ValueError, match="is no period of a fiscal year") as refusal:
            refused()
        assert len(str(refusal.value)) < 150


def test_a_stored_period_that_no_fiscal_year_has_sizes_no_page(actor: Any) -> None:
    admin = actor()
    administration = administration_of(admin)
    ledger = Ledger(administration)
    ledger.account("1000", "Kas")
    ledger.account("8000", "Omzet", "income")
    for number, period in (("1", "202611"), ("2", "2026999999999"), ("3", "2026" + "9" * 5000)):
        ledger.entry(number, period, ("1000", "250.00", "0"), ("8000", "0", "250.00"))
    browser, home = signed_in(admin), f"/administrations/{administration.pk}/books/"
    for path in ("", "trial-balance/", "trial-balance/?view=periods"):
        page = browser.get(home + path)
        assert (page.status_code, len(page.content) < 500_000) == (200, True)
