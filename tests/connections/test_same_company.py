"""Another account or company is refused and named; changes of the right company are reported."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.administrations.listeners.connection import accept_change
from koppel.administrations.models import Administration
from koppel.audit.models import AuditEntry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.models import Account
from koppel.company_registers.models import Lookup
from koppel.connections.companies.discovery import sync_company_list
from koppel.connections.errors import ConsentRefused
from koppel.connections.models import ConsentAttempt, Grant, RemoteCompany
from koppel.issues.queries import open_issues
from koppel.issues.services import raise_issue
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.sync.models import Checkpoint, Run
from koppel.sync.runs.services import request_run
from tests.connections.factories import (
    companies,
    event_kinds,
    import_first,
    reload_connection,
    sign_in,
    statuses,
    wait_until_described,
)
from tests.fixtures.confirmation import answers_on
from tests.fixtures.people import signed_in
from tests.fixtures.stack import Connected, MakeConnected, wait_until


def issue_messages(firm: Connected, administration: Administration) -> dict[str, str]:
    """The open issues of an administration: code and sentence."""
    with organisation_scope(firm.actor.organisation_id):
        issues = open_issues(firm.actor, "administration", [administration.pk]).get(administration.pk, [])
        return {issue.code: issue.message for issue in issues}


def sync(firm: Connected, administration: Administration) -> str:
    """A run to its end, as a person asks for it. How it ended."""
    with organisation_scope(firm.actor.organisation_id):
        request_run(firm.actor, administration.pk)  # one that the schedule began just now does as well

    def state() -> str:
        with organisation_scope(firm.actor.organisation_id):
            return str(Run.objects.order_by("-pk").values_list("state", flat=True)[0])

    wait_until(lambda: state() not in ("queued", "running"))
    return state()


@pytest.mark.usefixtures("worker")
def test_signing_in_with_another_account_changes_nothing_and_names_the_right_one(
    connected: MakeConnected,
) -> None:
    anna = connected()
    import_first(anna, 2)
    before = grants(anna)
    with pytest.raises(ConsentRefused) as caught:
        sign_in(anna, "reconnect", user="small@sandbox.example")
    assert "demo@sandbox.example" in str(caught.value)
    assert "small@sandbox.example" in str(caught.value)
    assert grants(anna) == before
    assert event_kinds(anna) == ["connected"]
    assert_only_refused_consent_revoked(anna)
    with organisation_scope(anna.actor.organisation_id):
        entry = AuditEntry.objects.get(action="connection.sign_in_refused")
    assert entry.details == {"account": "small@sandbox.example", "reason": "other_account"}


def assert_only_refused_consent_revoked(firm: Connected) -> None:
    """At the vendor; and Koppel keeps no copy of its token."""

    def attempt() -> ConsentAttempt:
        with organisation_scope(firm.actor.organisation_id):
            return ConsentAttempt.objects.exclude(refusal_code="").get()

    wait_until(lambda: attempt().unused_token is None)
    families = firm.sandbox.control("tokens?families=1")["families"].values()
    assert [one["revoked"] for one in families] == [False, True]


@pytest.mark.usefixtures("worker")
def test_choosing_another_company_changes_nothing_and_names_the_right_one(connected: MakeConnected) -> None:
    anna = connected("company_per_sign_in")
    (only,) = companies(anna)
    before = grants(anna)
    other = next(one for one in anna.sandbox.companies() if one["tenant_id"] != only.external_id)
    with pytest.raises(ConsentRefused) as caught:
        sign_in(anna, "reconnect", tenant=other["tenant_id"])
    assert only.name in str(caught.value)
    assert grants(anna) == before
    assert_only_refused_consent_revoked(anna)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("also_the_grant", [False, True])
def test_a_consent_of_another_company_reads_nothing(connected: MakeConnected, also_the_grant: bool) -> None:
    """What is stored says one company and the vendor's token another: nothing is read or written, somebody is
    told.
    """
    anna = connected("company_per_sign_in")
    wait_until_described(anna)
    (administration,) = import_first(anna)
    other = next(
        company
        for company in anna.sandbox.companies()
        if company["tenant_id"] != companies(anna)[0].external_id
    )
    with organisation_scope(anna.actor.organisation_id):
        RemoteCompany.objects.filter(pk=administration.remote_company_id).update(
            external_id=other["tenant_id"]
        )
        if also_the_grant:
            Grant.objects.update(company_id=other["tenant_id"])
    anna.sandbox.forget_calls()
    assert sync(anna, administration) == "failed"
    wait_until(lambda: statuses(anna) == {"blocked"})
    assert administration.name in issue_messages(anna, administration)["not_consented"]
    with organisation_scope(anna.actor.organisation_id):
        assert not Account.objects.exists()
        assert not Checkpoint.objects.exists()
    assert {one["path"] for one in anna.sandbox.calls()} <= {"/v1/organization"}


@pytest.mark.usefixtures("worker")
def test_a_new_name_and_then_a_new_number_are_reported_and_stop_nothing(connected: MakeConnected) -> None:
    anna = connected()
    (administration,) = import_first(anna)
    assert sync(anna, administration) == "succeeded"
    path, company = f"companies/{administration.remote_company.external_id}", administration.remote_company
    with organisation_scope(anna.actor.organisation_id):
        company.refresh_from_db()
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))

    def settle(code: str, accept: str) -> None:
        answer = {"administration": administration.pk, "code": code, "accept": accept}
        browser.post(f"/connections/{anna.connection.pk}/change", answer)

    anna.sandbox.control(path, {"name": "Nieuwe Naam B.V."})
    for _twice in range(2):
        assert sync(anna, administration) == "succeeded"
    assert "Nieuwe Naam B.V." in issue_messages(anna, administration)["company_renamed"]
    for _twice in range(2):
        settle("company_renamed", "1")
    anna.sandbox.control(path, {"number": "68750110"})
    for _twice in range(2):
        assert sync(anna, administration) == "succeeded"
    messages = issue_messages(anna, administration)
    assert messages.keys() == {"company_number_changed"}
    assert company.number in messages["company_number_changed"]
    assert "68750110" in messages["company_number_changed"]
    assert (
        event_kinds(anna).count("company_renamed"),
        event_kinds(anna).count("company_number_changed"),
    ) == (1, 1)
    settle("company_number_changed", "0")
    with organisation_scope(anna.actor.organisation_id):
        administration = Administration.objects.get(pk=administration.pk)
    assert (administration.name, administration.number) == ("Nieuwe Naam B.V.", "")
    assert issue_messages(anna, administration) == {}


def test_an_adopted_number_confirms_the_company(connected: MakeConnected) -> None:
    """It was imported without one; its first number comes from the accounting system."""
    anna = connected()
    (administration,) = import_first(anna)
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
    facts = {
        "field": "number",
        "old": "0",
        "new": "68750110",
        "name": administration.name,
        "connection": anna.connection.pk,
    }
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.update(country="NL", no_number_reason="unknown_yet", sector="")
        raise_issue(anna.actor.organisation_id, "identity_incomplete", subject, {"name": administration.name})
        raise_issue(anna.actor.organisation_id, "company_number_changed", subject, facts)
    answer = {"administration": administration.pk, "code": "company_number_changed", "accept": "1"}
    signed_in(anna.actor).post(f"/connections/{anna.connection.pk}/change", answer)
    with organisation_scope(anna.actor.organisation_id):
        administration = Administration.objects.get(pk=administration.pk)
    assert (administration.number, administration.no_number_reason) == ("68750110", "")
    assert issue_messages(anna, administration) == {}


def test_an_applied_number_of_another_name_in_the_register_is_asked_about(
    connected: MakeConnected, settings: Any
) -> None:
    settings.REGISTERS = ["brreg"]
    anna = connected()
    (administration,) = import_first(anna)
    number, change = "922518440", {"field": "number", "old": "0", "connection": anna.connection.pk}
    facts = {**change, "new": number, "name": administration.name}
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.update(country="NO")
        raise_issue(anna.actor.organisation_id, "company_number_changed", subject, facts)
        Lookup.objects.create(
            organisation_id=anna.actor.organisation_id,
            country="NO",
            kind="number",
            value=number,
            outcome="found",
            number=number,
            legal_name="Nordlys Gruppen AS",
            answered_at=timezone.now(),
            source="brreg",
        )
    page, browser = f"/connections/{anna.connection.pk}/change", signed_in(anna.actor)
    answer = {"administration": administration.pk, "code": "company_number_changed", "accept": "1"}
    body = {"administrations": [administration.pk], "code": "company_number_changed", "accept": True}
    refused = browser.post(
        f"/api/v1/connections/{anna.connection.pk}/changes", body, content_type="application/json"
    )
    assert (refused.status_code, refused.json()["error"]) == (409, "other_register_name")
    question = browser.post(page, answer).content.decode()
    assert f"in the register, number {number} belongs to “Nordlys Gruppen AS”" in question
    browser.post(page, answers_on(question))
    with organisation_scope(anna.actor.organisation_id):
        stored = Administration.objects.get(pk=administration.pk)
    assert (stored.number, stored.confirmed_identity.name) == (number, "Nordlys Gruppen AS")
    assert issue_messages(anna, stored) == {}, "a person has answered"
    with organisation_scope(anna.actor.organisation_id):
        Administration.objects.update(confirmed_identity={})
        accept_change(anna.actor, administration.pk, "number", number)
    assert issue_messages(anna, stored).keys() == {"register_name_differs"}, "stored without an answer"


@pytest.mark.usefixtures("worker")
def test_a_restored_name_needs_no_confirmation(connected: MakeConnected) -> None:
    anna = connected()
    (administration,) = import_first(anna)
    assert sync(anna, administration) == "succeeded"
    target, name = f"companies/{administration.remote_company.external_id}", administration.name
    for new, expected in (("Nieuwe Naam B.V.", {"company_renamed"}), (name.upper(), set())):
        anna.sandbox.control(target, {"name": new})
        assert sync(anna, administration) == "succeeded"
        assert set(issue_messages(anna, administration)) == expected


@pytest.mark.usefixtures("worker")
def test_an_unreachable_company_is_reported_and_recovers(
    connected: MakeConnected,
) -> None:
    """The client takes the role away from the user, and gives it back."""
    anna = connected()
    wait_until_described(anna)
    first, second = import_first(anna, 2)
    set_reachable_companies(anna, 1)
    sync_company_list(anna.actor, anna.connection.pk)
    assert issue_messages(anna, first) == {}
    assert second.name in issue_messages(anna, second)["company_unlisted"]
    assert reload_connection(anna).state == "active"
    assert sync(anna, second) == "failed"
    assert "company_access_lost" in event_kinds(anna)
    browser = Client()
    browser.force_login(User.objects.get(pk=anna.actor.user_id))
    assert "1 administration cannot be reached" in browser.get("/connections/").content.decode()
    set_reachable_companies(anna, None)
    sync_company_list(anna.actor, anna.connection.pk)
    assert "company_unlisted" not in issue_messages(anna, second)
    assert sync(anna, second) == "succeeded"
    assert issue_messages(anna, second) == {}
    assert [kind for kind in event_kinds(anna) if kind.startswith(("company", "role"))] == [
        "company_unlisted",
        "company_access_lost",
        "company_relisted",
        "company_access_restored",
    ]


def set_reachable_companies(firm: Connected, count: int | None) -> None:
    firm.sandbox.control("settings", {"reach": {"demo@sandbox.example": count}})


def grants(firm: Connected) -> list[Any]:
    with organisation_scope(firm.actor.organisation_id):
        return list(
            Grant.objects.order_by("pk").values("pk", "subject", "company_id", "generation", "invalid_since")
        )
