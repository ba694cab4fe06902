"""A number that another administration has: it needs a reason before the import, and an issue follows."""

import json
from typing import Any

from koppel.audit.models import AuditEntry
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
from tests.onboarding.wizard_steps import (
    KVK,
    anna,
    anna_at_list,
    choose,
    companies,
    identify,
    imported,
    newest_flow,
    read_page_text,
    typed_number,
)

__all__ = ["anna", "anna_at_list"]


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


def test_the_same_number_twice_needs_a_reason_which_is_kept(anna_at_list: Newcomer) -> None:
    existing = administration_of(anna_at_list.actor, "Bakkerij X", number="17052456", number_scheme="0106")
    first, second, third = begin(anna_at_list, 3)
    names = {company.pk: company.name for company in companies(anna_at_list)}
    typed = {first: typed_number(), second: typed_number(), third: typed_number("17052456")}
    refused = identify(anna_at_list, typed)
    assert path_of(refused) == f"{anna_at_list.flow}identify"
    assert f"Also used for {names[second]}" in read_page_text(refused)
    assert state_of(anna_at_list, third)["shared"].startswith("Also used for Bakkerij X")
    assert [state_of(anna_at_list, key)["complete"] for key in (first, second, third)] == [False] * 3
    finish = f"/api/v1/onboarding/flows/{newest_flow(anna_at_list).token}/identify"
    errors = anna_at_list.client.post(finish, {"identities": []}, "application/json").json()["errors"]
    assert {(error["code"], error["company"]) for error in errors} == {
        ("shared_number", key) for key in (first, second, third)
    }
    anna_at_list.client.post(
        f"{anna_at_list.flow}row",
        {f"number-{second}": KVK, f"shared_reason-{second}": "several_administrations"},
    )
    assert [state_of(anna_at_list, key)["complete"] for key in (first, second, third)] == [True, True, False]
    anna_at_list.client.post(f"{anna_at_list.flow}row", {f"number-{second}": "17052457"})
    anna_at_list.client.post(f"{anna_at_list.flow}row", {f"number-{second}": KVK})
    assert state_of(anna_at_list, second)["complete"] is False, "a reason holds for its number only"
    reasons = {f"shared_reason-{key}": "branch" for key in (second, third)}
    assert path_of(identify(anna_at_list, typed, **reasons)) == f"{anna_at_list.flow}assign"
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "skip"})
    new = {one.remote_company_id: one.pk for one in imported(anna_at_list.actor)}
    assert shared_issues(anna_at_list) == set(), "a person has given the reason"
    with organisation_scope(anna_at_list.actor.organisation_id):
        entries = AuditEntry.objects.filter(action="administration.shared_number_explained")
        reasons = {entry.subject_id: entry.details["reason"] for entry in entries}
    assert reasons == {new[second]: "branch", new[third]: "branch"}
    overview = read_page_text(anna_at_list.client.get(f"/administrations/{new[third]}/"))
    assert "Branch of the same company" in overview
    assert "confirmed by " in overview
    changed = {"number": "17052456", "reason": "", "sector": ""}
    anna_at_list.client.post(f"/administrations/{new[second]}/identity/", changed)
    assert shared_issues(anna_at_list) == {new[second]}, "the reason holds for its number only"
    body = {"administration": existing.pk}
    anna_at_list.client.put(f"/api/v1/administrations/{new[second]}/predecessor", body, "application/json")
    body = {"administration": new[second]}
    link = anna_at_list.client.put(
        f"/api/v1/administrations/{new[third]}/predecessor", body, "application/json"
    )
    assert link.status_code == 200
    assert shared_issues(anna_at_list) == set()


def test_a_shared_number_is_told_to_those_who_see_both(anna_at_list: Newcomer, actor: Any) -> None:
    """Otherwise typing a number would tell whether a client that one may not see has it."""
    secret = administration_of(
        anna_at_list.actor, "Secret", number="17052456", number_scheme="0106", country="NL"
    )
    assigned = administration_of(anna_at_list.actor, "Own", number=KVK, number_scheme="0106", country="NL")
    with organisation_scope(anna_at_list.actor.organisation_id):
        firm = Organisation.objects.get(pk=anna_at_list.actor.organisation_id)
        piet = actor("user", organisation=firm, name="Piet")
        assign(piet, assigned)
    changed = {"number": "17052456", "reason": "", "sector": "", "same_company": "1"}
    signed_in(piet).post(f"/administrations/{assigned.pk}/identity/", changed)
    assert ("number_shared", assigned.pk) in open_issues(anna_at_list)
    addresses = ("/api/v1/issues?kind=number_shared", f"/api/v1/administrations/{assigned.pk}/issues")
    for person, sees in ((piet, False), (anna_at_list.actor, True)):
        answers = [json.dumps(signed_in(person).get(address).json()) for address in addresses]
        assert ["number_shared" in answer for answer in answers] == [sees, sees]
        summary = signed_in(person).get(f"/api/v1/administrations/{assigned.pk}").json()
        assert (summary["issues"] > 0) is sees
    with organisation_scope(anna_at_list.actor.organisation_id):
        assign(piet, secret)
    assert "number_shared" in json.dumps(signed_in(piet).get(addresses[0]).json())


def shared_issues(person: Newcomer) -> set[int]:
    return {subject for code, subject in open_issues(person) if code == "number_shared"}


def test_a_reason_takes_the_place_of_an_unusable_number(anna_at_list: Newcomer) -> None:
    (first,) = begin(anna_at_list, 1)
    for number in ("12345678", "abc"):
        anna_at_list.client.post(f"{anna_at_list.flow}row", {f"number-{first}": number})
        assert state_of(anna_at_list, first)["tone"] == "bad"
        reason = {f"number-{first}": number, f"reason-{first}": "test_demo", f"sector-{first}": "K"}
        anna_at_list.client.post(f"{anna_at_list.flow}row", reason)
        state = state_of(anna_at_list, first)
        assert (state["number"], state["reason"], state["complete"]) == ("", "test_demo", True)
        anna_at_list.client.post(
            f"{anna_at_list.flow}row", {f"number-{first}": number, f"reason-{first}": "test_demo"}
        )
        assert state_of(anna_at_list, first)["reason"] == "", "the number was typed last"


def test_a_deregistered_company_is_asked_about_before_its_import(
    anna_at_list: Newcomer, settings: Any
) -> None:
    settings.REGISTERS = ["brreg"]
    (first,) = begin(anna_at_list, 1)
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NO")
        for number, outcome, source in (("922518440", "closed", "brreg"), ("974760673", "not_found", "vies")):
            Lookup.objects.create(
                organisation_id=anna_at_list.actor.organisation_id,
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
    question = identify(anna_at_list, {first: typed_number("922518440")})
    assert "1 company is deregistered. Is it still a client?" in read_page_text(question)
    assert "Deregistered since" in read_page_text(question)
    confirmed = anna_at_list.client.post(
        f"{anna_at_list.flow}identify", answers_on(read_page_text(question)), follow=True
    )
    assert path_of(confirmed) == f"{anna_at_list.flow}assign"
    repeated = identify(anna_at_list, {first: typed_number("922518440")})
    assert path_of(repeated) == f"{anna_at_list.flow}assign", "it is asked once"
    identify(anna_at_list, {first: typed_number("974760673")})
    with organisation_scope(anna_at_list.actor.organisation_id):
        (answer,) = list_answers(newest_flow(anna_at_list))
    assert answer.badge == ("warn", "not registered for VAT under this number, according to VIES")


def test_an_answered_deregistration_is_no_issue_and_leaving_closes_it(
    anna_at_list: Newcomer,
    settings: Any,
) -> None:
    settings.REGISTERS = ["brreg"]
    client, gone, silent = begin(anna_at_list, 3)
    numbers = {client: "922518440", gone: "923609016", silent: "974760673"}
    with organisation_scope(anna_at_list.actor.organisation_id):
        RemoteCompany.objects.update(country="NO")
        for number in numbers.values():
            Lookup.objects.create(
                organisation_id=anna_at_list.actor.organisation_id,
                country="NO",
                kind="number",
                value=number,
                outcome="closed",
                number=number,
                source="brreg",
                closed_on="2024-03-01",
                answered_at="2026-11-01T00:00:00Z",
                due_at=None,
            )
    question = identify(anna_at_list, {key: typed_number(number) for key, number in numbers.items()})
    assert "3 companies are deregistered" in read_page_text(question)
    ticked = answers_on(read_page_text(question)) | {"client": [str(client)]}
    left_out = anna_at_list.client.post(f"{anna_at_list.flow}identify", ticked, follow=True)
    assert path_of(left_out) == f"{anna_at_list.flow}assign"
    assert "Left out of this import" in read_page_text(left_out)
    assert newest_flow(anna_at_list).chosen_company_ids == [client]
    anna_at_list.client.post(f"{anna_at_list.flow}assign", {"action": "finish"})
    (new,) = imported(anna_at_list.actor)
    assert open_issues(anna_at_list) == set(), "a person has answered"
    with organisation_scope(anna_at_list.actor.organisation_id):
        entry = AuditEntry.objects.get(action="administration.client_confirmed")
    assert (entry.subject_id, entry.details["closed_on"]) == (new.pk, "2024-03-01")
    assert "Still a client, although deregistered" in read_page_text(
        anna_at_list.client.get(f"/administrations/{new.pk}/")
    )
    changed = {"number": numbers[gone], "reason": "", "sector": ""}
    anna_at_list.client.post(f"/administrations/{new.pk}/identity/", changed)
    assert open_issues(anna_at_list) == {("company_closed", new.pk)}, "the answer was about the other number"
    left = {"client_left_on": "2026-11-01", "erase_on": "2033-11-01"}
    anna_at_list.client.put(f"/api/v1/administrations/{new.pk}/offboarding", left, "application/json")
    assert open_issues(anna_at_list) == set()
    anna_at_list.client.delete(f"/api/v1/administrations/{new.pk}/offboarding")
    anna_at_list.client.post(f"/administrations/{new.pk}/activate/")
    assert open_issues(anna_at_list) == set(), "who comes back is a client"
