"""A PATCH says what it changed: nothing when all was set already, and a wrong value is refused by name."""

import unicodedata
from typing import Any

import pytest

from koppel.administrations.models import Administration, BulkOperation
from koppel.kit.tenancy import organisation_scope
from tests.administrations.factories import Firm, create_firm
from tests.administrations.test_api_and_commands import ROOT, send
from tests.administrations.test_list import browser_of


@pytest.fixture
def firm(actor: Any) -> Firm:
    firm = create_firm(actor("administrator"), 8)
    with organisation_scope(firm.admin.organisation_id):
        for key, country in zip(firm.ids, ("NL", "NO", "DK", "SE", "DE"), strict=False):
            Administration.objects.filter(pk=key).update(country=country, number="")
        Administration.objects.filter(pk=firm.ids[0]).update(number="69599084", client_number="C1")
    return firm


@pytest.mark.parametrize(
    "query", ["status=faild", "stauts=failed", "division=abc", "country=XX", "country=nl", "sort=colour"]
)
def test_a_list_refuses_what_it_does_not_know(firm: Firm, query: str) -> None:
    name, _sign, value = query.partition("=")
    refused = send(browser_of(firm.admin), "GET", f"{ROOT}?{query}", status=422)
    assert name in str(refused)
    assert name == "stauts" or value in str(refused)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"number": "abc"}, "A COC number has 8 digits"),
        ({"number": ""}, "Enter a number"),
        ({"number": "NL002455799B11"}, "VAT number"),
        ({"number": "69599084", "client_number": "x" * 61}, "60"),
        ({"sector": "ZZ"}, "sector"),
        ({"division": 10**12}, "division"),
    ],
)
def test_a_patch_that_is_wrong_is_refused_and_changes_nothing(
    firm: Firm, body: dict[str, Any], word: str
) -> None:
    client = browser_of(firm.admin)
    path = f"{ROOT}/{firm.ids[0]}"
    before = send(client, "GET", path)
    refused = client.patch(
        path, body | {"client_number": body.get("client_number", "C2")}, "application/json"
    )
    assert refused.status_code in (404, 409, 422), refused.content.decode()
    assert word in refused.content.decode()
    assert send(client, "GET", path) == before
    with organisation_scope(firm.admin.organisation_id):
        assert not BulkOperation.objects.exists()


def test_an_unknown_field_is_refused_by_name(firm: Firm) -> None:
    refused = send(browser_of(firm.admin), "PATCH", f"{ROOT}/{firm.ids[0]}", {"colour": "red"}, status=422)
    assert "colour" in str(refused)


def test_a_patch_says_what_it_changed(firm: Firm) -> None:
    client, path = browser_of(firm.admin), f"{ROOT}/{firm.ids[0]}"
    body = {"client_number": "C1", "number": "KvK-nr. 69599084"}
    assert send(client, "PATCH", path, body)["changed"] == []
    body = {"client_number": "C9", "division": firm.divisions[2], "number": "69599084"}
    assert send(client, "PATCH", path, body)["changed"] == ["client_number", "division"]
    assert send(client, "PATCH", path, body)["changed"] == []
    assert send(client, "PATCH", path, {"add": [firm.admin.membership_id]})["changed"] == ["add"]


def test_a_patch_of_settings_says_what_it_changed(firm: Firm) -> None:
    client, path = browser_of(firm.admin), f"{ROOT}/{firm.ids[0]}/settings"
    key, value = "schedule", "hourly_8"
    assert send(client, "PATCH", path, {"values": {key: value}})["changed"] == [key]
    assert send(client, "PATCH", path, {"values": {key: value}})["changed"] == []


@pytest.mark.parametrize(
    ("index", "typed", "stored"),
    [
        (0, "KvK-nr. 68750110", "68750110"),
        (0, "KvK nummer: 68750110", "68750110"),
        (1, "Org.nr 923 609 016", "923609016"),
        (2, "CVR-nr. 22756214", "22756214"),
        (4, "Freiburg im Breisgau HRB 700001", "Freiburg im Breisgau HRB 700001"),
    ],
)
def test_a_number_is_stored_without_its_label(firm: Firm, index: int, typed: str, stored: str) -> None:
    changed = send(browser_of(firm.admin), "PATCH", f"{ROOT}/{firm.ids[index]}", {"number": typed})
    assert (changed["number"], changed["changed"]) == (stored, ["number"])


def test_a_norwegian_number_of_no_range_is_kept_with_a_doubt(firm: Firm) -> None:
    send(browser_of(firm.admin), "PATCH", f"{ROOT}/{firm.ids[1]}", {"number": "100000008"})
    with organisation_scope(firm.admin.organisation_id):
        stored = Administration.objects.get(pk=firm.ids[1])
        assert (stored.number, stored.number_note) == ("100000008", "looks_mistyped")


def test_decomposed_letters_are_stored_and_searched_composed(firm: Firm) -> None:
    client, typed = browser_of(firm.admin), unicodedata.normalize("NFD", "Ångström")
    changed = send(client, "PATCH", f"{ROOT}/{firm.ids[0]}", {"client_number": typed})
    assert changed["client_number"] == "Ångström"
    for text in ("Ångström", typed, "angstrom"):
        assert send(client, "GET", f"{ROOT}?q={text}")["total"] == 1, text
