"""REST requests through every middleware."""

from typing import Any

import pytest
from django.test import Client

from tests.books.factories import Ledger, administration_of, assign
from tests.fixtures.people import signed_in


@pytest.mark.usefixtures("clean_database")
def test_who_has_not_signed_in_gets_401_as_json() -> None:
    answer = Client().get("/api/v1/administrations")
    assert (answer.status_code, answer.json()) == (401, {"error": "sign_in_needed"})


def test_an_administrator_lists_administrations(actor: Any) -> None:
    admin = actor("administrator")
    administration_of(admin, number="69599084", country="NL")
    body = signed_in(admin).get("/api/v1/administrations").json()
    assert body["total"] == 1
    assert (body["items"][0]["number"], body["items"][0]["status"], body["items"][0]["issues"]) == (
        "69599084",
        "active",
        0,
    )


def test_a_user_sees_only_what_is_assigned(actor: Any) -> None:
    user = actor("user")
    hidden, visible = administration_of(user, "Verborgen"), administration_of(user, "Zichtbaar")
    assign(user, visible)
    client = signed_in(user)
    assert [one["name"] for one in client.get("/api/v1/administrations").json()["items"]] == ["Zichtbaar"]
    answer = client.get(f"/api/v1/administrations/{hidden.pk}")
    assert (answer.status_code, answer.json()) == (404, {"error": "not_found"})
    assert client.get(f"/api/v1/administrations/{hidden.pk}/books/accounts").status_code == 404


def test_another_organisation_is_not_there(actor: Any) -> None:
    member, stranger = actor("administrator"), actor("administrator")
    foreign = administration_of(stranger)
    for path in ("", "/books", "/books/accounts", "/books/trial-balance", "/sync/runs"):
        assert signed_in(member).get(f"/api/v1/administrations/{foreign.pk}{path}").status_code == 404


def test_a_restricted_administration_is_hidden_from_an_administrator_who_is_not_named(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin, restricted=True)
    assert signed_in(admin).get(f"/api/v1/administrations/{administration.pk}").status_code == 404
    assign(admin, administration)
    assert signed_in(admin).get(f"/api/v1/administrations/{administration.pk}").status_code == 200


def test_amounts_are_exact_text(actor: Any) -> None:
    admin = actor("administrator")
    ledger = Ledger(administration_of(admin))
    ledger.account("1000", "Bank")
    ledger.balance("1000", "202601", "0.10", "12345678901234567.89")
    client = signed_in(admin)
    root = f"/api/v1/administrations/{ledger.administration.pk}/books"
    assert client.get(root).json()["rows"]["accounts"] == 1
    assert client.get(f"{root}/balances").json()["items"][0]["closing"] == "12345678901234567.89"
    balance = client.get(f"{root}/trial-balance").json()
    assert (balance["differing"], balance["accounts"][0]["stated"]) == (1, "12345678901234567.89")


def test_an_unknown_resource_and_an_invalid_limit_are_refused(actor: Any) -> None:
    admin = actor("administrator")
    administration = administration_of(admin)
    client = signed_in(admin)
    assert client.get(f"/api/v1/administrations/{administration.pk}/books/nothing").json() == {
        "error": "unknown_resource"
    }
    assert client.get("/api/v1/administrations?limit=0").status_code == 422


def test_the_description_is_served(actor: Any) -> None:
    body = signed_in(actor("reader")).get("/api/v1/openapi.json").json()
    assert body["info"]["title"] == "Koppel"
    assert "/api/v1/administrations/{administration_id}/books/{resource}" in body["paths"]
