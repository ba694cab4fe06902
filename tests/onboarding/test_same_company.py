"""The confirmation “Is this the same company?” when accounting system and register differ."""

import re
from dataclasses import replace
from typing import Any

import pytest
from django.utils import timezone

from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.company_registers.clients.protocol import (
    CompanyCandidate,
    LookupOutcome,
    QueryKind,
    RegisterQuery,
)
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.models import Lookup
from koppel.connections.models import RemoteCompany
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.steps.identify import IdentityAnswer
from tests.fixtures.confirmation import answers_on
from tests.fixtures.first_steps import Newcomer, newcomer, path_of
from tests.fixtures.stack import Sandbox, register_app
from tests.onboarding.wizard_steps import choose, companies, identify, imported, read_page_text

DERIVED, PLACEHOLDER = "922518440", "999999999"


@pytest.fixture
def anna(actor: Any, sandbox: Sandbox, settings: Any) -> Newcomer:
    """She is at Identify with three companies of Norway: all have the placeholder and a VAT number; the
    register knows that number by another name than the second one's.
    """
    settings.REGISTERS = ["brreg"]
    newcomer_at_identify = newcomer(actor("administrator", name="Anna"), sandbox)
    newcomer_at_identify.connect(register_app(sandbox).pk)
    ids = [company.pk for company in companies(newcomer_at_identify)[:3]]
    with organisation_scope(newcomer_at_identify.actor.organisation_id):
        RemoteCompany.objects.update(country="NO", number="", vat_number="", legal_name="")
    choose(newcomer_at_identify, *ids)
    return newcomer_at_identify


@pytest.mark.parametrize(
    ("names", "number"),
    [
        (["Nordlys Solberg AS", "Nordlys Bygg AS"], "1"),
        (["NORDLYS SOLBERG"], "1"),
        (["Nordlys Solberg AS", "Nordlys Solberg"], ""),
        (["Nordlys Bygg AS"], ""),
        ([], ""),
    ],
)
def test_a_suggestion_is_accepted_with_others_only_when_one_has_the_same_name(
    names: list[str], number: str
) -> None:
    candidates = tuple(CompanyCandidate(number=str(at), name=name) for at, name in enumerate(names, 1))
    lookup = LookupResult(
        RegisterQuery(country="NO", kind=QueryKind.NAME, value="nordlys solberg"), candidates=candidates
    )
    company = RemoteCompany(name="Nordlys Solberg AS", country="NO")
    answer = IdentityAnswer(
        company=company,
        number="",
        reason="",
        sector="",
        is_suggested=False,
        checked=None,
        problems={},
        lookup=lookup,
    )
    assert answer.equal_suggestion == number
    closed = tuple(replace(candidate, is_closed=True) for candidate in candidates)
    assert replace(answer, lookup=replace(lookup, candidates=closed)).equal_suggestion == ""
    assert replace(answer, number="922518440").equal_suggestion == ""
    assert replace(answer, reason="test_demo").equal_suggestion == ""


def first_company_ids(anna: Newcomer) -> list[int]:
    return [company.pk for company in companies(anna)[:3]]


def set_register_name(anna: Newcomer, name: str) -> None:
    with organisation_scope(anna.actor.organisation_id):
        Lookup.objects.update_or_create(
            organisation_id=anna.actor.organisation_id,
            country="NO",
            kind="number",
            value=DERIVED,
            defaults={
                "outcome": "found",
                "number": DERIVED,
                "legal_name": name,
                "answered_at": timezone.now(),
                "due_at": None,
                "source": "brreg",
            },
        )


def update_company(anna: Newcomer, key: int, **fields: str) -> None:
    with organisation_scope(anna.actor.organisation_id):
        RemoteCompany.objects.filter(pk=key).update(**fields)


def row_state(anna: Newcomer, key: int, language: str = "en") -> tuple[str, str, bool]:
    """(tone, sentence, complete) as the open page is told."""
    anna.client.cookies["koppel_language"] = language
    (row,) = anna.client.get(f"{anna.flow}row-states.json?id={key}").json()["rows"]
    return row["tone"], row["message"], row["complete"]


def test_another_name_in_the_register_is_no_green_tick(anna: Newcomer) -> None:
    first, second, third = first_company_ids(anna)
    update_company(anna, first, name="Nordlys Solberg")
    set_register_name(anna, "Nordlys Gruppen AS")
    identify(anna, {first: {"number": DERIVED}})
    tone, sentence, complete = row_state(anna, first)
    assert (tone, complete) == ("warn", False)
    assert "Is this the same company?" in sentence
    assert "“Nordlys Solberg”" in sentence
    assert "“Nordlys Gruppen AS”" in sentence
    assert "Is dit hetzelfde bedrijf?" in row_state(anna, first, "nl")[1]
    tests = {key: {"reason": "test_demo", "sector": "N"} for key in (second, third)}
    page = identify(anna, {first: {"number": DERIVED}, **tests})
    assert path_of(page) == f"{anna.flow}identify", "it is not complete until it is answered"
    anna.client.post(f"{anna.flow}identify", {"action": f"same-{first}"})
    assert row_state(anna, first)[::2] == ("ok", True)
    assert path_of(identify(anna, {first: {"number": DERIVED}, **tests})) == f"{anna.flow}assign"
    anna.client.post(f"{anna.flow}assign", {"action": "finish", "company": [first]})
    administration = next(it for it in imported(anna.actor) if it.name == "Nordlys Solberg")
    assert administration.confirmed_identity.name == "Nordlys Gruppen AS"
    assert administration.confirmed_identity.by == anna.actor.membership_id
    with organisation_scope(anna.actor.organisation_id):
        entry = AuditEntry.objects.get(action="administration.company_confirmed")
    assert (entry.subject_id, entry.details["confirmed_name"]) == (administration.pk, "Nordlys Gruppen AS")
    anna.client.cookies["koppel_language"] = "en"
    overview = read_page_text(anna.client.get(f"/administrations/{administration.pk}/identity/"))
    assert "Name in accounting system" not in overview, "what a person confirmed is not amber again"
    assert "confirmed as the same company" in overview


@pytest.mark.parametrize(
    ("books", "register", "asks"),
    [
        ("Åkeri Sjöberg AB", "AKERI SJOBERG", False),
        ("Bakkerij De Haan B.V.", "Bakkerij de Haan BV", False),
        ("Bakkerij De Haan b. v", "Bakkerij De Haan", False),
        ("Køleteknik Kjær A/S", "Koleteknik Kjaer", False),
        ("Køleteknik Kjær ApS", "KOLETEKNIK KJAER", False),
        ("Jansen-Smit", "Jansen Smit", False),
        ("Åkeri Sjöberg AB", "Åkeri Groep AB", True),
        ("Bakkerij De Haan B.V.", "Bakkerij De Haan Groep B.V.", True),
    ],
)
def test_names_that_are_equal_in_normal_form_need_no_question(books: str, register: str, asks: bool) -> None:
    """Capitals, accents, signs and the abbreviation of the legal form make no other company."""
    lookup = LookupResult(
        RegisterQuery(country="NO", kind=QueryKind.NUMBER, value=DERIVED),
        LookupOutcome.FOUND,
        legal_name=register,
    )
    assert lookup.has_different_name(books) is asks


def test_a_number_from_the_vat_number_is_asked_about_with_both(anna: Newcomer) -> None:
    first = first_company_ids(anna)[0]
    update_company(anna, first, number=PLACEHOLDER, vat_number=f"NO{DERIVED}MVA")
    tone, sentence, complete = row_state(anna, first)
    assert (tone, complete) == ("warn", False)
    assert (
        f"Accounting system: {PLACEHOLDER}. Number {DERIVED} was taken from VAT number NO{DERIVED}MVA."
        in sentence
    )
    anna.client.post(f"{anna.flow}identify", {f"number-{first}": DERIVED, "action": f"other-{first}"})
    assert row_state(anna, first)[2] is False
    assert f'name="number-{first}" value=""' in read_page_text(anna.client.get(f"{anna.flow}identify"))
    identify(anna, {first: {"number": DERIVED}})
    assert "You marked this as a different company" in row_state(anna, first)[1]


def test_a_button_that_the_page_does_not_have_is_refused_and_answers_nothing(anna: Newcomer) -> None:
    first = first_company_ids(anna)[0]
    update_company(anna, first, number=PLACEHOLDER, vat_number=f"NO{DERIVED}MVA")
    strange = ("sames", f"another-{first}", f"fill-{first}", "same-", "other", "same-²", "same-987654")
    for button in (*strange, f"same-0{first}"):
        answer = anna.client.post(f"{anna.flow}identify", {"action": button})
        page = anna.client.get(answer.headers["Location"])
        assert (answer.status_code, f"“{button}” is not one of the options." in read_page_text(page)) == (
            302,
            True,
        ), button
        assert row_state(anna, first)[::2] == ("warn", False), button
    anna.client.post(f"{anna.flow}identify", {"action": f"same-{first}"})
    assert row_state(anna, first)[2] is True


def test_a_placeholder_never_counts_as_complete(anna: Newcomer) -> None:
    first = first_company_ids(anna)[0]
    for country, text in (("NO", PLACEHOLDER), ("NL", "12345678"), ("NL", "11111111"), ("SE", "555555-5555")):
        update_company(anna, first, country=country, number=text)
        anna.client.post(f"{anna.flow}row", {f"number-{first}": text})
        tone, sentence, complete = row_state(anna, first)
        assert (tone, complete) == ("bad", False), text
        assert "made-up number" in sentence


def test_yes_for_all_that_are_ticked_is_shown_once_more_with_their_count(anna: Newcomer) -> None:
    ids = first_company_ids(anna)
    for key in ids:
        update_company(anna, key, number=PLACEHOLDER, vat_number=f"NO{DERIVED}MVA")
        anna.client.post(
            f"{anna.flow}row", {f"number-{key}": DERIVED, f"shared_reason-{key}": "several_administrations"}
        )
    page = read_page_text(anna.client.get(f"{anna.flow}identify"))
    assert (
        len(re.findall(r'data-discrepancy><input type="checkbox" name="discrepancy" value="\d+"', page)) == 3
    )
    assert "checked" not in "".join(re.findall(r'<input type="checkbox" name="discrepancy"[^>]*>', page))
    question = read_page_text(
        anna.client.post(f"{anna.flow}identify", {"action": "same", "discrepancy": ids[:2]})
    )
    assert "Are these 2 administrations the same companies?" in question
    assert 'class="steps"' in question, "in the frame of the wizard"
    assert [row_state(anna, key)[2] for key in ids] == [False, False, False]
    cleared = answers_on(question) | {"discrepancy": ids[1:2]}
    anna.client.post(f"{anna.flow}identify", cleared)
    assert [row_state(anna, key)[2] for key in ids] == [False, True, False], "not all or nothing"
    question = read_page_text(
        anna.client.post(f"{anna.flow}identify", {"action": "same", "discrepancy": ids[:1]})
    )
    anna.client.post(f"{anna.flow}identify", answers_on(question))
    assert [row_state(anna, key)[2] for key in ids] == [True, True, False]
    everything = read_page_text(
        anna.client.post(f"{anna.flow}identify", {"action": "same", "discrepancies": "all"})
    )
    assert f"Does number {DERIVED} belong to" in everything
    set_register_name(anna, "Somebody Else AS")
    stale = anna.client.post(f"{anna.flow}identify", answers_on(everything))
    assert stale.status_code == 409, "the register has answered meanwhile"
    assert [row_state(anna, key)[2] for key in ids] == [False, False, False], (
        "an answer holds for what was shown"
    )


def test_over_rest_an_import_with_an_unanswered_difference_is_refused_by_name(anna: Newcomer) -> None:
    first, second, third = first_company_ids(anna)
    update_company(anna, first, name="Nordlys Solberg")
    set_register_name(anna, "Nordlys Gruppen AS")
    base = f"/api/v1/onboarding/flows/{anna.flow.strip('/').split('/')[-1]}"

    def call(path: str, body: Any = None) -> Any:
        return anna.client.post(f"{base}{path}", body, content_type="application/json").json()

    others = [{"company": key, "reason": "test_demo", "sector": "N"} for key in (second, third)]
    outcome = call("/identify", {"identities": [{"company": first, "number": DERIVED}, *others]})
    (error,) = outcome["errors"]
    assert (error["code"], error["company"]) == ("same_company", first)
    assert error["message"].startswith("Nordlys Solberg: Is this the same company?")
    refused = call("/finish?complete_later=true")
    assert refused["result"] == "errors"
    assert [one["company"] for one in refused["errors"] if one["code"] == "same_company"] == [first]
    assert imported(anna.actor) == []
    assert (
        call("/identify", {"identities": [{"company": first, "same_company": True}]})["result"] == "advance"
    )
    assert call("/finish")["count"] == 3
    with organisation_scope(anna.actor.organisation_id):
        assert Administration.objects.exclude(confirmed_identity={}).get().name == "Nordlys Solberg"
