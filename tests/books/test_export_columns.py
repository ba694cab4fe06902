"""An export has every field of the row type, and what says whether a line counts in the trial balance."""

import csv
import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow.parquet
import pytest
from django.test import Client
from django.utils import translation

from koppel.books.export import EXPORTED, columns_of
from koppel.books.models import Entry
from koppel.books.read import labels
from koppel.books.read.export_columns import EXPORT_COLUMNS, OMITTED_OF_ENTRY
from koppel.connector.rows import ROWS
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of
from tests.fixtures.people import signed_in

Moved = dict[str, tuple[Decimal, Decimal]]


@pytest.mark.parametrize("resource", ROWS)
def test_an_export_has_every_field_of_its_row(resource: str) -> None:
    exported = [column.key for column in columns_of(resource)]
    fields = ROWS[resource].__struct_fields__
    assert exported == list(EXPORT_COLUMNS[resource])
    assert (exported[0], exported[-len(fields) :]) == ("external_id", list(fields))
    of_entry = set(exported[1 : -len(fields)])
    assert len(set(exported)) == len(exported), "a field of the entry that a line has too"
    if resource == "entry_lines":
        assert of_entry == set(ROWS["entries"].__struct_fields__) - OMITTED_OF_ENTRY.keys()
    else:
        assert of_entry == set()


@pytest.mark.parametrize("language", ["en", "nl"])
def test_every_column_has_a_heading_of_its_own(language: str) -> None:
    assert set(EXPORTED) == set(ROWS)
    with translation.override(language):
        for resource in EXPORTED:
            columns = columns_of(resource)
            assert {column.key for column in columns} <= labels.COLUMNS.keys()
            assert len({column.title for column in columns}) == len(columns), resource


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def ledger(anna: Actor) -> Ledger:
    """Lines that count, and of each kind that does not: added up, all differ from the trial balance."""
    new_ledger = Ledger(administration_of(anna))
    for code, name, kind in (("1000", "Bank", "asset"), ("8000", "Omzet", "income")):
        new_ledger.account(code, name, kind)
    for number, amount, fields in (
        ("1", "250.12", {"currency": "SEK", "ledger": "2"}),
        ("2", "-0.13", {}),
        ("3", "1000", {"status": "unposted"}),
        ("4", "2000", {"status": "voided"}),
        ("5", "4000", {"balance_type": "budget", "ledger": "B"}),
        ("6", "8000", {"status": "unposted", "balance_type": "statistical"}),
        ("7", "16000", {}),
    ):
        new_ledger.entry(number, "202601", ("1000", amount, "0"), ("8000", "0", amount), **fields)
    with organisation_scope(anna.organisation_id):
        Entry.objects.filter(external_id="GL7").update(deleted_at=datetime(2026, 3, 1, tzinfo=UTC))
    return new_ledger


def read_archive(client: Client, ledger: Ledger, file_format: str) -> zipfile.ZipFile:
    answer = client.get(f"/administrations/{ledger.administration.pk}/books/export/?format={file_format}")
    assert answer.status_code == 200, answer
    return zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))  # type: ignore[attr-defined]


def read_rows(content: bytes, name: str, delimiter: str) -> list[dict[str, Any]]:
    if name.endswith(".parquet"):
        return pyarrow.parquet.read_table(io.BytesIO(content)).to_pylist()  # type: ignore[no-any-return]
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=delimiter))


def movements(rows: Iterable[Mapping[str, Any]], account: str, debit: str, credit: str) -> Moved:
    totals: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for row in rows:
        for index, column in enumerate((debit, credit)):
            totals[row[account]][index] += Decimal(str(row[column]).replace(",", "."))
    return {code: (amounts[0], amounts[1]) for code, amounts in totals.items()}


@pytest.mark.parametrize(
    ("language", "file_format", "account", "delimiter"),
    [
        ("en", "csv", "Account", ","),
        ("nl", "csv", "Grootboekrekening", ";"),
        ("nl", "plain-csv", "account", ","),
        ("nl", "parquet", "account", ","),
    ],
)
def test_lines_that_match_the_filter_of_the_manifest_add_up_to_the_trial_balance(
    anna: Actor, ledger: Ledger, language: str, file_format: str, account: str, delimiter: str
) -> None:
    client = signed_in(anna)
    client.cookies["koppel_language"] = language
    archive = read_archive(client, ledger, file_format)
    said = json.loads(archive.read("manifest.json"))["trial_balance"]
    rows = read_rows(archive.read(said["file"]), said["file"], delimiter)
    debit, credit = {"Account": ("Debit", "Credit"), "Grootboekrekening": ("Debet", "Credit")}.get(
        account, ("debit", "credit")
    )
    selected = [row for row in rows if all(row[key] == value for key, value in said["filter"].items())]
    report = client.get(f"/api/v1/administrations/{ledger.administration.pk}/books/trial-balance").json()
    expected = movements(report["accounts"], "account", "debit", "credit")
    assert expected["1000"] == (Decimal("249.99"), Decimal(0))
    assert movements(selected, account, debit, credit) == expected
    assert movements(rows, account, debit, credit) != expected


def test_rows_over_rest_have_the_columns_of_an_export(anna: Actor, ledger: Ledger) -> None:
    root = f"/api/v1/administrations/{ledger.administration.pk}/books"
    items = signed_in(anna).get(f"{root}/entries").json()["items"]
    assert all(tuple(item) == EXPORT_COLUMNS["entries"] for item in items)
    first = next(item for item in items if item["external_id"] == "GL1")
    assert (first["currency"], first["ledger"], first["credit_total"]) == ("SEK", "2", "250.12")


def test_pages_mark_what_is_not_of_the_actual_ledger(anna: Actor, ledger: Ledger) -> None:
    client, home = signed_in(anna), f"/administrations/{ledger.administration.pk}/books"
    for path in ("entries/?q=5", "account/1000/?year=2026", "entry/GL5/"):
        assert '<span class="tag">Budget</span>' in client.get(f"{home}/{path}").content.decode()
    assert '<span class="tag">Actual</span>' not in client.get(f"{home}/entry/GL1/").content.decode()
