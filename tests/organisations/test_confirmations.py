"""Irreversible actions need a confirmation that lists their effects and applies only to these."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from koppel.administrations.models import Assignment, SavedView
from koppel.connections.models import Connection
from koppel.connector.registry import connectors
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access.api_tokens import LIFETIME_DAYS, create_token
from koppel.organisations.models import ApiToken, Division, Membership, Organisation, Template
from koppel.organisations.roles import Actor
from tests.books.factories import administration_of, assign
from tests.fixtures.confirmation import answers_on, post_and_confirm
from tests.fixtures.people import signed_in


@dataclass(kw_only=True)
class Office:
    admin: Actor
    rosa: Actor
    hugo: Actor

    @property
    def page(self) -> str:
        return f"/organisation/people/{self.rosa.membership_id}/"

    def hand_over(self, **more: str) -> dict[str, str]:
        return {"to": str(self.hugo.membership_id), **more}

    def holds(self, person: Actor) -> list[str]:
        with organisation_scope(self.admin.organisation_id):
            assignments = Assignment.objects.filter(membership_id=person.membership_id)
            return sorted(assignments.values_list("administration__name", flat=True))

    def may_sign_in(self) -> bool:
        with organisation_scope(self.admin.organisation_id):
            return bool(Membership.objects.get(pk=self.rosa.membership_id).is_active)


@pytest.fixture
def office(actor: Any) -> Office:
    """Rosa holds two administrations, a connection, a view; Hugo is a Team leader."""
    admin = actor("administrator", name="Ada Beheer")
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    rosa = actor("team_leader", organisation=firm, name="Rosa Lezer")
    hugo = actor("team_leader", organisation=firm, name="Hugo Baas")
    bakery, garage = administration_of(admin, "Bakkerij B.V."), administration_of(admin, "Garage Smit")
    for administration in (bakery, garage):
        assign(rosa, administration)
    with organisation_scope(admin.organisation_id):
        Connection.objects.filter(pk=bakery.connection_id).update(
            owner_id=rosa.membership_id, account="rosa@vendor", connector=next(iter(connectors()))
        )
        SavedView.objects.create(
            organisation_id=firm.pk, membership_id=rosa.membership_id, name="Mine", query="q=a"
        )
    return Office(admin=admin, rosa=rosa, hugo=hugo)


def test_handing_over_says_first_exactly_what_moves_and_leaves_access_alone(office: Office) -> None:
    browser = signed_in(office.admin)
    page = browser.get(office.page).content.decode()
    tick = re.search(r'<input type="checkbox" name="deactivate"[^>]*>', page)
    assert tick
    assert "checked" not in tick[0]
    question = browser.post(office.page + "hand-over", office.hand_over()).content.decode()
    for said in (
        "Hugo Baas",
        "Administrations: 2",
        "Bakkerij B.V.",
        "Garage Smit",
        "Connections: 1",
        "rosa@vendor",
        "Saved views: 1",
        "Rosa Lezer will keep access",
    ):
        assert said in question, said
    assert office.holds(office.rosa) == ["Bakkerij B.V.", "Garage Smit"], "nothing moves before the answer"
    browser.post(office.page + "hand-over", answers_on(question))
    assert office.holds(office.hugo) == ["Bakkerij B.V.", "Garage Smit"]
    assert office.may_sign_in()


def test_removing_access_lists_what_ends(office: Office) -> None:
    client = signed_in(office.rosa)
    assert client.get("/").status_code == 200
    with organisation_scope(office.admin.organisation_id):
        create_token(office.rosa, name="script", role=None, read_only=True, days=LIFETIME_DAYS[0])
    browser = signed_in(office.admin)
    browser.cookies["koppel_language"] = "nl"
    question = browser.post(office.page + "hand-over", office.hand_over(deactivate="1")).content.decode()
    for said in (
        "Alle verantwoordelijkheden van Rosa Lezer overdragen aan Hugo Baas?",
        "1 sessie eindigt direct",
        "1 API-token wordt",
        "Overdragen en toegang intrekken",
    ):
        assert said in question, said
    browser.post(office.page + "hand-over", answers_on(question))
    assert not office.may_sign_in()
    assert client.get("/").status_code == 302


def test_a_stale_confirmation_is_refused_and_asked_again(office: Office) -> None:
    browser = signed_in(office.admin)
    question = browser.post(office.page + "hand-over", office.hand_over()).content.decode()
    assign(office.rosa, administration_of(office.admin, "Nieuwkomer"))
    answer = browser.post(office.page + "hand-over", answers_on(question))
    assert answer.status_code == 409
    page = answer.content.decode()
    assert "The data changed after you opened this page" in page
    assert "Nieuwkomer" in page
    assert office.holds(office.hugo) == []
    browser.post(office.page + "hand-over", answers_on(page))
    assert office.holds(office.hugo) == ["Bakkerij B.V.", "Garage Smit", "Nieuwkomer"]


def test_an_answer_for_one_colleague_or_one_consequence_does_not_hold_for_another(office: Office) -> None:
    browser = signed_in(office.admin)
    answers = answers_on(browser.post(office.page + "hand-over", office.hand_over()).content.decode())
    for other in ({"deactivate": "1"}, {"to": str(office.admin.membership_id)}):
        assert browser.post(office.page + "hand-over", {**answers, **other}).status_code == 409
    assert office.holds(office.rosa) == ["Bakkerij B.V.", "Garage Smit"]
    assert office.may_sign_in()


def test_a_second_click_does_nothing_more(office: Office) -> None:
    browser = signed_in(office.admin)
    answers = answers_on(browser.post(office.page + "hand-over", office.hand_over()).content.decode())
    for _click in range(2):
        page = browser.post(office.page + "hand-over", answers, follow=True)
    assert "Nothing left to transfer" in page.content.decode()
    assert office.holds(office.hugo) == ["Bakkerij B.V.", "Garage Smit"]


def test_who_cannot_take_over_is_refused_before_the_question(office: Office, actor: Any) -> None:
    with organisation_scope(office.admin.organisation_id):
        firm = Organisation.objects.get()
    reader = actor("reader", organisation=firm, name="Lars")
    form = {"to": str(reader.membership_id)}
    answer = signed_in(office.admin).post(office.page + "hand-over", form, follow=True).content.decode()
    assert "Only an active Administrator or Team leader" in answer


def test_removing_access_needs_a_confirmation(office: Office) -> None:
    browser = signed_in(office.admin)
    question = browser.post(office.page, {"role": "user"}).content.decode()
    assert "Revoke the access of Rosa Lezer?" in question
    assert office.may_sign_in()
    browser.post(office.page, answers_on(question))
    assert not office.may_sign_in()
    with organisation_scope(office.admin.organisation_id):
        assert Membership.objects.get(pk=office.rosa.membership_id).role == "user", (
            "the rest of the form goes along"
        )


def test_ending_sessions_and_revoking_a_token_are_asked(office: Office) -> None:
    client = signed_in(office.rosa)
    with organisation_scope(office.admin.organisation_id):
        create_token(office.rosa, name="script", role=None, read_only=True, days=LIFETIME_DAYS[0])
        token = ApiToken.objects.get()
    browser = signed_in(office.admin)
    for address in (f"{office.page}end-sessions", f"{office.page}tokens/{token.pk}/revoke"):
        assert "confirmed" in browser.post(address).content.decode()
    assert client.get("/").status_code == 200
    with organisation_scope(office.admin.organisation_id):
        assert ApiToken.objects.get().revoked_at is None
    post_and_confirm(browser, f"{office.page}tokens/{token.pk}/revoke")
    post_and_confirm(browser, f"{office.page}end-sessions")
    assert client.get("/").status_code == 302
    with organisation_scope(office.admin.organisation_id):
        assert ApiToken.objects.get().revoked_at is not None


def test_merging_says_how_much_moves_and_where(office: Office) -> None:
    tenant = {"organisation_id": office.admin.organisation_id}
    with organisation_scope(office.admin.organisation_id):
        pairs = [
            (
                "divisions",
                Division.objects.create(**tenant, name="Noord"),
                Division.objects.create(**tenant, name="Zuid"),
            ),
            (
                "templates",
                Template.objects.create(**tenant, name="Noord"),
                Template.objects.create(**tenant, name="Zuid"),
            ),
        ]
    administration_of(office.admin, "Molen", division=pairs[0][1], template=pairs[1][1])
    browser: Client = signed_in(office.admin)
    for kind, leaving, staying in pairs:
        question = browser.post(
            f"/organisation/{kind}/{leaving.pk}/merge", {"into": staying.pk}
        ).content.decode()
        assert "Merge “Noord” into “Zuid”?" in question
        assert "1 administration moves to “Zuid”." in question
        with organisation_scope(office.admin.organisation_id):
            assert type(leaving).objects.get(pk=leaving.pk).archived_at is None
        browser.post(f"/organisation/{kind}/{leaving.pk}/merge", answers_on(question))
        with organisation_scope(office.admin.organisation_id):
            assert type(leaving).objects.get(pk=leaving.pk).archived_at is not None
