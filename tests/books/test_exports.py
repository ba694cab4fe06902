"""Exports of the books from pages and from the command line."""

import io
import json
import os
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet
import pytest
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import Organisation, User
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of, assign
from tests.fixtures.people import signed_in


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def ledger(anna: Actor) -> Ledger:
    new_ledger = Ledger(administration_of(anna))
    new_ledger.account("1000", "Bank")
    new_ledger.account("8000", "=Omzet", "income")
    new_ledger.entry("1", "202601", ("1000", "250.1234", "0"), ("8000", "0", "250.1234"))
    return new_ledger


def fetch(who: Actor, path: str) -> bytes:
    client = Client()
    client.force_login(User.objects.get(pk=who.user_id))
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return b"".join(answer.streaming_content)  # type: ignore[attr-defined]


def list_export_entries(who: Actor) -> list[dict[str, Any]]:
    with organisation_scope(who.organisation_id):
        return list(
            AuditEntry.objects.filter(action="books.exported")
            .order_by("pk")
            .values_list("details", flat=True)
        )


def test_lines_come_out_with_date_and_number_of_their_entry(anna: Actor, ledger: Ledger) -> None:
    path = f"/administrations/{ledger.administration.pk}/books/entry_lines/?format=parquet"
    table = pyarrow.parquet.read_table(io.BytesIO(fetch(anna, path)))
    assert table.column("number").to_pylist() == ["1", "1"]
    assert table.column("debit").to_pylist() == [Decimal("250.1234000000"), Decimal("0E-10")]
    assert list_export_entries(anna) == [{"resources": ["entry_lines"], "format": "parquet"}]


def test_excel_of_the_trial_balance_has_the_source_beside_it(anna: Actor, ledger: Ledger) -> None:
    content = fetch(
        anna, f"/administrations/{ledger.administration.pk}/books/trial-balance/?year=2026&format=xlsx"
    )
    rows = list(openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True))
    assert rows[0][:3] == ("Account", "Name", "Opening balance")
    assert rows[1][0] == "1000"
    assert float(rows[1][5]) == pytest.approx(250.1234)


def test_an_export_of_all_books_is_one_file_with_a_manifest(anna: Actor, ledger: Ledger) -> None:
    content = fetch(anna, f"/administrations/{ledger.administration.pk}/books/export/?format=csv")
    archive = zipfile.ZipFile(io.BytesIO(content))
    manifest = json.loads(archive.read("manifest.json"))
    assert manifest["administration"] == "Bakkerij De Haan B.V."
    assert manifest["rows"]["entry_lines"] == 2
    assert {f"{key}.csv" for key in manifest["rows"]} == set(archive.namelist()) - {"manifest.json"}
    assert "'=Omzet" in archive.read("accounts.csv").decode()


def test_a_person_without_assignment_gets_nothing(anna: Actor, ledger: Ledger, actor: Any) -> None:
    with organisation_scope(anna.organisation_id):
        firm = Organisation.objects.get(pk=anna.organisation_id)
    reader = actor("reader", organisation=firm)
    client = Client()
    client.force_login(User.objects.get(pk=reader.user_id))
    path = f"/administrations/{ledger.administration.pk}/books/export/"
    assert client.get(path).status_code == 404
    assign(reader, ledger.administration)
    assert zipfile.is_zipfile(io.BytesIO(fetch(reader, path)))


def koppel(*words: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "koppel.cli", *words]
    return subprocess.run(command, cwd=cwd, env=os.environ, capture_output=True, text=True, check=False)


def test_an_export_from_the_command_line_is_audited_under_the_persons_name(
    anna: Actor, ledger: Ledger, tmp_path: Path
) -> None:
    email = User.objects.get(pk=anna.user_id).email
    words = ("export", "resource", str(ledger.administration.pk), "accounts", "--as", email, "--json")
    done = koppel(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file = tmp_path / json.loads(done.stdout)["file"]
    assert file.read_text(encoding="utf-8-sig").splitlines()[1].startswith("1000,1000,Bank")
    assert list_export_entries(anna) == [{"resources": ["accounts"], "format": "csv"}]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("counts", "1"), "Say who acts: --as with a member's e-mail address, or KOPPEL_AS."),
        (
            ("counts", "1", "--as", "nobody@example.test"),
            "nobody@example.test is not a member who may sign in here.",
        ),
        (("counts", "987654", "--as", "{anna}"), "This administration does not exist"),
        (
            ("resource", "{one}", "secrets", "--as", "{anna}"),
            "There is no resource “secrets”. Possible: company_details, accounts, ",
        ),
    ],
)
def test_a_failing_export_prints_one_sentence(
    anna: Actor, ledger: Ledger, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    email = User.objects.get(pk=anna.user_id).email
    filled = [word.format(anna=email, one=ledger.administration.pk) for word in words]
    done = koppel("export", *filled, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("path", ["export/", "accounts/"])
def test_a_table_too_long_for_excel_is_refused_and_not_truncated(
    anna: Actor, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("koppel.kit.tabular.excel.ROWS_MAX", 0)
    answer = signed_in(anna).get(
        f"/administrations/{ledger.administration.pk}/books/{path}?format=xlsx", follow=True
    )
    assert "This table is too large for Excel" in answer.content.decode()
