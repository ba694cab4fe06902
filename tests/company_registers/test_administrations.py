"""Register checks of an administration: at import, after a change, and once a year."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.administrations.identity import recheck
from koppel.administrations.identity import services as identity
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.list.queryset import search
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.company_registers.models import Lookup
from koppel.issues.queries import open_issues
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of
from tests.company_registers.factories import run_lookup_worker
from tests.fixtures.people import signed_in
from tests.fixtures.stack import Sandbox

KVK = "33031431"


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def browser(anna: Actor) -> Client:
    return signed_in(anna)


@pytest.fixture
def bakery(anna: Actor, registers: Sandbox) -> Administration:
    """Known to the register under another name."""
    entry = {"country": "NL", "number": KVK, "name": "Koekjes Groep B.V.", "activity": "10720"}
    registers.control("registers", entry)
    return administration_of(anna, "Bakkerij De Haan", country="NL", number=KVK, number_scheme="0106")


def check(anna: Actor, administration: Administration) -> Administration:
    """Ask, let the worker do its job, look again."""
    with organisation_scope(anna.organisation_id):
        identity.request_register_check(anna, [administration.pk], refresh=True)
    run_lookup_worker(anna)
    with organisation_scope(anna.organisation_id):
        return Administration.objects.get(pk=administration.pk)


def issues(anna: Actor, administration: Administration) -> dict[str, str]:
    with organisation_scope(anna.organisation_id):
        open_ones = open_issues(anna, "administration", [administration.pk]).get(administration.pk, [])
        return {each.code: each.message for each in open_ones}


OTHER_NAME = "In the register, the number of Bakkerij De Haan belongs to “Koekjes Groep B.V.”."


def test_the_register_gives_the_sector_and_its_name_stands_beside_the_books(
    anna: Actor, bakery: Administration, browser: Client
) -> None:
    administration = check(anna, bakery)
    assert (administration.sector, administration.sector_scheme, administration.name) == (
        "C",
        "NACE-2.1",
        "Bakkerij De Haan",
    )
    text = browser.get(f"/administrations/{administration.pk}/identity/card").content.decode()
    assert "Koekjes Groep B.V." in text
    assert "Name in accounting system: Bakkerij De Haan" in text
    with organisation_scope(anna.organisation_id):
        assert (
            AuditEntry.objects.filter(
                action="administration.register_values_applied", actor_kind="job"
            ).count()
            == 1
        )
    assert issues(anna, administration) == {"register_name_differs": OTHER_NAME}


def test_a_closed_company_is_an_issue_until_somebody_has_seen_it(
    anna: Actor, bakery: Administration, browser: Client, registers: Sandbox
) -> None:
    check(anna, bakery)
    registers.control("registers", {"country": "NL", "number": KVK, "closed_on": "2026-05-01"})
    check(anna, bakery)
    assert issues(anna, bakery) == {
        "company_closed": "According to the register, the company was closed on 1 May 2026.",
        "register_name_differs": OTHER_NAME,
    }
    check(anna, bakery)
    assert len(issues(anna, bakery)) == 2
    browser.post(f"/administrations/{bakery.pk}/identity/register", {"action": "seen"})
    assert issues(anna, bakery) == {}
    check(anna, bakery)
    assert issues(anna, bakery) == {}
    registers.control("registers", {"country": "NL", "number": KVK, "closed_on": ""})
    check(anna, bakery)
    registers.control("registers", {"country": "NL", "number": KVK, "closed_on": "2026-06-01"})
    check(anna, bakery)
    assert set(issues(anna, bakery)) == {"company_closed"}


def test_a_company_that_is_renamed_in_the_register_is_an_issue_and_keeps_its_name_here(
    anna: Actor, bakery: Administration, registers: Sandbox
) -> None:
    check(anna, bakery)
    with organisation_scope(anna.organisation_id):
        identity.acknowledge_changes(anna, bakery.pk)
    registers.control("registers", {"country": "NL", "number": KVK, "name": "KOEKJES GROEP BV"})
    check(anna, bakery)
    assert issues(anna, bakery) == {}
    registers.control("registers", {"country": "NL", "number": KVK, "name": "Biscuit International B.V."})
    administration = check(anna, bakery)
    assert issues(anna, administration) == {
        "legal_name_changed": "In the register, KOEKJES GROEP BV is now called Biscuit International B.V."
    }
    assert administration.name == "Bakkerij De Haan"


def test_an_unregistered_number_is_doubtful(anna: Actor, bakery: Administration, registers: Sandbox) -> None:
    unknown = administration_of(anna, "Typo", country="NL", number="17052456")
    with organisation_scope(anna.organisation_id):
        Administration.objects.filter(pk=bakery.pk).update(number_note="looks_mistyped")
    assert check(anna, bakery).number_note == ""
    assert check(anna, unknown).number_note == "not_found"
    registers.fault("/registers/kvk", status=503, times=5)
    assert check(anna, bakery).number_note == ""
    assert issues(anna, unknown) == {}


def test_everything_is_checked_once_a_year_and_new_numbers_within_the_hour(
    anna: Actor, bakery: Administration, registers: Sandbox
) -> None:
    administration_of(anna, "Without a number", country="NL", no_number_reason="public_body", sector="P")
    with organisation_scope(anna.organisation_id):
        assert recheck.recheck_batch(anna.organisation_id) == 1
        assert recheck.recheck_batch(anna.organisation_id) == 0
    run_lookup_worker(anna)
    with organisation_scope(anna.organisation_id):
        Lookup.objects.update(answered_at=timezone.now() - timedelta(days=364))
        assert recheck.recheck_batch(anna.organisation_id) == 0
        Lookup.objects.update(answered_at=timezone.now() - timedelta(days=366))
        Administration.objects.update(status="deactivated")
        assert recheck.recheck_batch(anna.organisation_id) == 0
        Administration.objects.update(status="active")
        assert recheck.recheck_batch(anna.organisation_id) == 1
    registers.control("registers", {"country": "NL", "number": KVK, "closed_on": "2026-05-01"})
    run_lookup_worker(anna)
    assert set(issues(anna, bakery)) == {"company_closed", "register_name_differs"}


def test_incomplete_identities_are_listed_and_completed(
    anna: Actor, browser: Client, registers: Sandbox
) -> None:
    administration = administration_of(anna, "Imported at night", country="NL")
    fine = administration_of(anna, "Municipality", country="NL", no_number_reason="public_body", sector="P")
    with organisation_scope(anna.organisation_id):
        identity.handle_import(anna.organisation_id, [administration.pk, fine.pk])
        listed = search(anna, parse_query_string("number=incomplete"))
        assert [each.pk for each in listed] == [administration.pk]
    assert issues(anna, administration) == {"identity_incomplete": "The company is unknown."}
    address = f"/administrations/{administration.pk}/identity/"
    answer = browser.post(address, {"number": "NL002455799B11"})
    assert answer.status_code == 422
    assert "This is a VAT number." in answer.content.decode()
    answer = browser.post(address, {"number": "", "reason": "not_a_company", "sector": "Vastgoed"})
    assert answer.status_code == 302
    with organisation_scope(anna.organisation_id):
        administration.refresh_from_db()
        assert (administration.no_number_reason, administration.sector, administration.sector_scheme) == (
            "not_a_company",
            "M",
            "NACE-2.1",
        )
        assert AuditEntry.objects.get(action="administration.identified").details["after"]["sector"] == "M"
    assert issues(anna, administration) == {}


def test_a_made_up_number_proposes_the_reason(anna: Actor, browser: Client, registers: Sandbox) -> None:
    administration = administration_of(anna, "Demo", country="NL", number="12345678", number_note="dummy")
    text = browser.get(f"/administrations/{administration.pk}/identity/").content.decode()
    assert "made-up number" in text
    assert '<option value="test_demo" selected>' in text


def test_a_sole_traders_number_is_masked_and_never_sent_to_a_register(
    anna: Actor, browser: Client, registers: Sandbox
) -> None:
    administration = administration_of(anna, "Enskild firma", country="SE")
    browser.post(f"/administrations/{administration.pk}/identity/", {"number": "19640823-3234"})
    with organisation_scope(anna.organisation_id):
        administration.refresh_from_db()
        assert administration.number == "640823-3234"
        assert "3234" not in str(AuditEntry.objects.get(action="administration.identified").details)
        assert not Lookup.objects.exists()
    assert "3234" not in browser.get("/administrations/").content.decode()


def test_suggestions_are_in_the_readers_language(browser: Client) -> None:
    sectors = browser.get("/registers/sectors?q=bakker", headers={"accept-language": "nl"}).json()["sectors"]
    assert sectors[0]["text"] == "C – Industrie"
    assert len(browser.get("/registers/sectors").json()["sectors"]) == 22


def test_unknown_numbers_do_not_delay_other_look_ups(
    anna: Actor, registers: Sandbox, monkeypatch: Any
) -> None:
    monkeypatch.setattr(recheck, "BATCH_SIZE", 2)
    for index in range(3):
        administration_of(anna, f"Swiss {index}", country="CH", number=f"CHE10000000{index}")
    administration_of(anna, "Bakkerij De Haan", country="NL", number=KVK)
    with organisation_scope(anna.organisation_id):
        assert recheck.recheck_batch(anna.organisation_id) == 1
