"""A number with another name in the register is only stored after a confirmation."""

from typing import Any

import pytest
from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.company_registers.models import Lookup
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.administrations.test_list import browser_of
from tests.books.factories import administration_of

NUMBER = "922518440"


@pytest.fixture
def admin(actor: Any, settings: Any) -> Actor:
    """The register's answer about the number is there."""
    settings.REGISTERS = ["brreg"]
    administrator: Actor = actor("administrator", name="Anna")
    with organisation_scope(administrator.organisation_id):
        Lookup.objects.create(
            organisation_id=administrator.organisation_id,
            country="NO",
            kind="number",
            value=NUMBER,
            outcome="found",
            number=NUMBER,
            legal_name="Nordlys Gruppen AS",
            answered_at=timezone.now(),
            source="brreg",
        )
    return administrator


def reload(admin: Actor, key: int) -> Administration:
    with organisation_scope(admin.organisation_id):
        return Administration.objects.get(pk=key)


def test_the_page_asks_and_records_who_answered(admin: Actor) -> None:
    administration = administration_of(admin, "Nordlys Solberg", country="NO")
    browser, page = browser_of(admin), f"/administrations/{administration.pk}/identity/"
    answer = browser.post(page, {"number": NUMBER})
    assert answer.status_code == 422
    assert (
        "In the register this number belongs to “Nordlys Gruppen AS”. Is this the same company?"
        in answer.content.decode()
    )
    assert reload(admin, administration.pk).number == ""
    browser.post(page, {"number": NUMBER, "same_company": "1"})
    stored = reload(admin, administration.pk)
    assert (stored.number, stored.confirmed_identity.name) == (NUMBER, "Nordlys Gruppen AS")
    with organisation_scope(admin.organisation_id):
        assert (
            AuditEntry.objects.get(action="administration.company_confirmed").subject_id == administration.pk
        )
    assert "confirmed as the same company" in browser.get(page).content.decode()


def test_an_early_import_is_confirmed_on_its_page(admin: Actor) -> None:
    administration = administration_of(admin, "Nordlys Solberg", country="NO", number=NUMBER)
    browser, page = browser_of(admin), f"/administrations/{administration.pk}/identity/"
    assert "Name in accounting system" in browser.get(page).content.decode()
    browser.post(f"/administrations/{administration.pk}/identity/register", {"action": "seen"})
    html = browser.get(page).content.decode()
    assert "Name in accounting system" not in html
    assert "confirmed as the same company" in html


def test_bulk_actions_skip_an_unconfirmed_number_with_the_reason(admin: Actor) -> None:
    same = administration_of(admin, "NORDLYS GRUPPEN", country="NO")
    other = administration_of(admin, "Nordlys Solberg", country="NO")
    browser = browser_of(admin)
    for key in (same.pk, other.pk):
        body = {"action": "change", "ids": [key], "params": {"number": NUMBER}}
        operation = browser.post("/api/v1/administrations/bulk", body, content_type="application/json").json()
        browser.post(f"/api/v1/administrations/bulk/{operation['id']}/start")
        (item,) = browser.get(f"/api/v1/administrations/bulk/{operation['id']}/items").json()
        assert (item["state"], item["reason_code"]) == (
            ("changed", "") if key == same.pk else ("skipped", "other_company")
        )
    assert (reload(admin, same.pk).number, reload(admin, other.pk).number) == (NUMBER, "")
