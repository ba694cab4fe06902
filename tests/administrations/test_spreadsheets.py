"""Changes from a CSV as spreadsheets write it: every file of the cases, and the list's own export."""

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from koppel.administrations import bulk
from koppel.administrations.list.columns import COLUMNS
from koppel.administrations.models import Administration, BulkItem
from koppel.kit.tabular.reader import decode
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import Refused
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_list import browser_of

BULK = "/administrations/bulk/csv/"
PRINTER = "Drukkerij Brouwer B.V."


@pytest.fixture
def firm(actor: Any) -> Firm:
    """A firm with the companies of the cases."""
    firm = create_firm(actor("administrator"), 24)
    with organisation_scope(firm.admin.organisation_id):
        for key, name in zip(firm.ids, (PRINTER, "Café Zürich B.V."), strict=False):
            Administration.objects.filter(pk=key).update(name=name, division_id=firm.divisions[1])
        Administration.objects.filter(pk=firm.ids[2]).update(
            number="640823-3234", country="SE", no_number_reason="", client_number="=1+1"
        )
    return firm


def upload(browser: Client, content: bytes) -> Any:
    return browser.post(BULK, {"action": "change", "file": SimpleUploadedFile("list.csv", content)})


def get_planned_changes(firm: Firm, response: Any) -> list[int]:
    """The administrations that a preview would change."""
    assert response.status_code == 302, response.content.decode()
    with organisation_scope(firm.admin.organisation_id):
        operation = int(response.headers["Location"].rstrip("/").rpartition("/")[2])
        items = BulkItem.objects.filter(operation_id=operation, reason_code="")
        return list(items.values_list("administration_id", flat=True))


@pytest.mark.parametrize(
    ("name", "index"),
    [("bulk-blank-first-line.csv", 0), ("bulk-trailing-columns.csv", 0), ("bulk-nfd.csv", 1)],
)
def test_a_file_of_the_cases_changes_its_administration(
    firm: Firm, shared_reference: Path, name: str, index: int
) -> None:
    content = (shared_reference / "cases" / "csv" / name).read_bytes()
    assert get_planned_changes(firm, upload(browser_of(firm.admin), content)) == [firm.ids[index]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_any_encoding_and_delimiter_is_read(firm: Firm, encoding: str, delimiter: str) -> None:
    rows = ["", "", "NAAM:|Afdeling ||", '"Café Zürich B.V."|Noord||', "||", ""]
    text = "\r\n".join(rows).replace("|", delimiter)
    assert get_planned_changes(firm, upload(browser_of(firm.admin), text.encode(encoding))) == [firm.ids[1]]


@pytest.mark.parametrize("language", ["en", "nl"])
@pytest.mark.parametrize("columns", [".".join(COLUMNS), "name.number.client.code.division.template.sector"])
def test_an_exported_list_changes_nothing(firm: Firm, language: str, columns: str) -> None:
    browser = browser_of(firm.admin)
    session = browser.session
    session["language"] = language
    session.save()
    exported = b"".join(browser.get(f"/administrations/export.csv?columns={columns}").streaming_content)
    assert ("Naam" in exported.decode()) == (language == "nl")
    assert get_planned_changes(firm, upload(browser, exported)) == []
    with organisation_scope(firm.admin.organisation_id):
        assert BulkItem.objects.count() == len(firm.ids)
        assert set(BulkItem.objects.values_list("reason_code", flat=True)) == {"unchanged"}


def test_what_is_changed_in_an_exported_list_is_all_that_changes(firm: Firm) -> None:
    browser = browser_of(firm.admin)
    exported = b"".join(browser.get("/administrations/export.csv").streaming_content).decode("utf-8-sig")
    lines = exported.splitlines()
    index = next(number for number, line in enumerate(lines) if PRINTER in line)
    lines[index] = lines[index].replace("Oost", "West")
    response = upload(browser, "\r\n".join(lines).encode())
    assert get_planned_changes(firm, response) == [firm.ids[0]]
    page = browser.get(response.headers["Location"]).content.decode()
    assert "A file does not change these columns: Status" in page


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name;colour\nx;red", "Unknown headings: colour."),
        ("name;division;afdeling\nx;Noord;Noord", "Two columns have the same meaning: division, afdeling."),
        ("division;name\nNoord;x", "The first column must identify the administration"),
        (f"name;division\n{PRINTER};Noord;surplus", "The value “surplus” is below no heading."),
        (f"name;;division\n{PRINTER};surplus;Noord", "The value “surplus” is below no heading."),
        ("name;status\nx;active", "The other columns must name what to set"),
    ],
)
def test_what_is_not_understood_is_named(firm: Firm, text: str, sentence: str) -> None:
    page = browser_of(firm.admin).post(BULK, {"action": "change", "text": text}).content.decode()
    assert sentence in page


def test_of_two_with_one_name_the_number_of_the_line_tells(firm: Firm) -> None:
    with organisation_scope(firm.admin.organisation_id):
        Administration.objects.filter(pk=firm.ids[3]).update(name=PRINTER, client_number="K77")
        changes = bulk.read_changes(firm.admin, f"name;client number;division\n{PRINTER};K77;Noord")
        assert list(changes.values_by_id) == [firm.ids[3]]
        with pytest.raises(Refused):
            bulk.read_changes(firm.admin, "name\nx")
        both = bulk.read_changes(firm.admin, f"name;division\n{PRINTER};Noord")
        assert (both.values_by_id, len(both.problems)) == ({}, 1)


@pytest.mark.parametrize("typed", ["KvK-nr. 69599084", "6959 9084", "69599084"])
def test_a_number_finds_its_administration_however_it_is_written(firm: Firm, typed: str) -> None:
    with organisation_scope(firm.admin.organisation_id):
        Administration.objects.filter(pk=firm.ids[4]).update(number="69599084", country="NL")
        changes = bulk.read_changes(firm.admin, f"KvK-nr.;division\n{typed};Noord")
        assert list(changes.values_by_id) == [firm.ids[4]]


def test_text_of_a_file_is_composed() -> None:
    assert decode("Cafe\u0301".encode()) == "Caf\xe9"
