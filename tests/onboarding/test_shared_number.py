"""A number that another administration has: it needs a reason before the import, and an issue follows."""

import json
from typing import Any

from koppel.company_registers.models import Lookup
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.tenancy import organisation_scope
from koppel.onboarding.steps.identify import list_answers
from koppel.organisations.models import Organisation
from tests.books.factories import administration_of, assign
from tests.fixtures.confirmation import answers_on
from tests.fixtures.first_steps import Newcomer, path_of
from tests.fixtures.people import signed_in
from tests.onboarding.test_wizard import (
    KVK,
    anna,  # noqa: F401 - fixture
    choose,
    companies,
    identify,
    imported,
    listed,  # noqa: F401 - fixture
    newest_flow,
    read_page_text,
    typed_number,
)


def begin(person: Newcomer, count: int) -> list[int]:
    """Choose the first companies, Dutch and without numbers."""
    with organisation_scope(person.actor.organisation_id):
        RemoteCompany.objects.update(country="NL", number="", vat_number="", legal_name="")
    ids = [company.pk for company in companies(person) if company.name != "Bakkerij X"][:count]
    choose(person, *ids)
    return ids


def state_of(person: Newcomer, key: int) -> dict[str, Any]:
    (row,) = person.client.get(f"{person.flow}row-states.json?id={key}").json()["rows"]
    return dict(row)


def open_issues(person: Newcomer) -> set[tuple[str, int]]:
    with organisation_scope(person.actor.organisation_id):
        return set(Issue.objects.filter(resolved_at=None).values_list("code", "subject_id"))


def test_the_same_number_twice_needs_a_reason_and_leaves_an_issue(listed: Newcomer) -> None:  # noqa: F811
    existing = administration_of(listed.actor, "Bakkerij X", number="17052456", number_scheme="0106")
    first, second, third = begin(listed, 3)
    names = {company.pk: company.name for company in companies(listed)}
    typed = {first: typed_number(), second: typed_number(), third: typed_number("17052456")}
    refused = identify(listed, typed)
    assert path_of(refused) == f"{listed.flow}identify"
    assert f"Also used for {names[second]}" in read_page_text(refused)
    assert state_of(listed, third)["shared"].startswith("Also used for Bakkerij X")
    assert [state_of(listed, key)["complete"] for key in (first, second, third)] == [False] * 3
    finish = f"/api/v1/onboarding/flows/{newest_flow(listed).token}/identify"
    errors = listed.client.post(finish, {"identities": []}, "application/json").json()["errors"]
    assert {(error["code"], error["company"]) for error in errors} == {
        ("shared_number", key) for key in (first, second, third)
    }
    listed.client.post(
        f"{listed.flow}row", {f"number-{second}": KVK, f"shared_reason-{second}": "several_administrations"}
    )
    assert [state_of(listed, key)["complete"] for key in (first, second, third)] == [True, True, False]
    listed.client.post(f"{listed.flow}row", {f"number-{second}": "17052457"})
    listed.client.post(f"{listed.flow}row", {f"number-{second}": KVK})
    assert state_of(listed, second)["complete"] is False, "a reason holds for its number only"
    reasons = {f"shared_reason-{key}": "branch" for key in (second, third)}
    assert path_of(identify(listed, typed, **reasons)) == f"{listed.flow}assign"
    listed.client.post(f"{listed.flow}assign", {"action": "skip"})
    new = {one.remote_company_id: one.pk for one in imported(listed.actor)}
    later = max(new[first], new[second])
    shared = {subject for code, subject in open_issues(listed) if code == "number_shared"}
    assert shared == {later, new[third]}
    body = {"administration": existing.pk}
    link = listed.client.put(f"/api/v1/administrations/{new[third]}/predecessor", body, "application/json")
    assert link.status_code == 200
    changed = {"number": "17052458", "reason": "", "sector": ""}
    listed.client.post(f"/administrations/{later}/identity/", changed)
    shared = {subject for code, subject in open_issues(listed) if code == "number_shared"}
    assert shared == set()


def test_a_shared_number_is_told_to_those_who_see_both(listed: Newcomer, actor: Any) -> None:  # noqa: F811
    """Otherwise typing a number would tell whether a client that one may not see has it."""
    secret = administration_of(listed.actor, "Secret", number="17052456", number_scheme="0106", country="NL")
    assigned = administration_of(listed.actor, "Own", number=KVK, number_scheme="0106", country="NL")
    with organisation_scope(listed.actor.organisation_id):
        firm = Organisation.objects.get(pk=listed.actor.organisation_id)
        piet = actor("user", organisation=firm, name="Piet")
        assign(piet, assigned)
    changed = {"number": "17052456", "reason": "", "sector": "", "same_company": "1"}
    signed_in(piet).post(f"/administrations/{assigned.pk}/identity/", changed)
    assert ("number_shared", assigned.pk) in open_issues(listed)
    addresses = ("/api/v1/issues?kind=number_shared", f"/api/v1/administrations/{assigned.pk}/issues")
    for person, sees in ((piet, False), (listed.actor, True)):
        answers = [json.dumps(signed_in(person).get(address).json()) for address in addresses]
        assert ["number_shared" in answer for answer in answers] == [sees, sees]
        listing = signed_in(person).get(f"/api/v1/administrations/{assigned.pk}").json()
        assert (listing["issues"] > 0) is sees
    with organisation_scope(listed.actor.organisation_id):
        assign(piet, secret)
    assert "number_shared" in json.dumps(signed_in(piet).get(addresses[0]).json())


def test_a_reason_takes_the_place_of_an_unusable_number(listed: Newcomer) -> None:  # noqa: F811
    (first,) = begin(listed, 1)
    for number in ("12345678", "abc"):
        listed.client.post(f"{listed.flow}row", {f"number-{first}": number})
        assert state_of(listed, first)["tone"] == "bad"
        reason = {f"number-{first}": number, f"reason-{first}": "test_demo", f"sector-{first}": "K"}
        listed.client.post(f"{listed.flow}row", reason)
        state = state_of(listed, first)
        assert (state["number"], state["reason"], state["complete"]) == ("", "test_demo", True)
        listed.client.post(f"{listed.flow}row", {f"number-{first}": number, f"reason-{first}": "test_demo"})
        assert state_of(listed, first)["reason"] == "", "the number was typed last"


def test_a_deregistered_company_is_asked_about_before_its_import(listed: Newcomer, settings: Any) -> None:  # noqa: F811
    settings.REGISTERS = ["brreg"]
    (first,) = begin(listed, 1)
    with organisation_scope(listed.actor.organisation_id):
        RemoteCompany.objects.update(country="NO")
        for number, outcome, source in (("922518440", "closed", "brreg"), ("974760673", "not_found", "vies")):
            Lookup.objects.create(
                organisation_id=listed.actor.organisation_id,
                country="NO",
                kind="number",
                value=number,
                outcome=outcome,
                number=number,
                source=source,
                closed_on="2024-03-01" if outcome == "closed" else None,
                answered_at="2026-11-01T00:00:00Z",
                due_at=None,
            )
    question = identify(listed, {first: typed_number("922518440")})
    assert "1 company is deregistered. Is it still a client?" in read_page_text(question)
    assert "Deregistered since 1" in read_page_text(question)
    confirmed = listed.client.post(
        f"{listed.flow}identify", answers_on(read_page_text(question)), follow=True
    )
    assert path_of(confirmed) == f"{listed.flow}assign"
    identify(listed, {first: typed_number("974760673")})
    with organisation_scope(listed.actor.organisation_id):
        (answer,) = list_answers(newest_flow(listed))
    assert answer.badge == ("warn", "not registered for VAT under this number, according to VIES")
