"""Forms of the organisation: errors at their fields, typed values kept, nothing stored."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import (
    ApiToken,
    Division,
    DivisionMember,
    IdentityProvider,
    Invitation,
    Membership,
    Organisation,
    Template,
    User,
)
from koppel.organisations.roles import Actor
from tests.fixtures.forms import form_of
from tests.fixtures.people import signed_in


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


def refused(browser: Client, path: str, form: Mapping[str, Any], *fields: str) -> str:
    """Return the page that shows the form again, with an error at each of these fields and at no other."""
    page = browser.post(path, form)
    text = page.content.decode()
    assert page.status_code == 200, page.status_code
    for field in fields:
        assert f'id="{field}-error"' in text, field
    assert text.count('class="field-error"') == len(fields)
    return text


SETTINGS = [
    ("fiscal_years_back", "many"),
    ("fiscal_years_back", "77"),
    ("fiscal_years_back", "-1"),
    ("schedule", "hourly"),
    ("full_comparison_weekday", "7"),
    ("resources", "secrets"),
    ("notify-sync_failing", "everybody"),
]


@pytest.mark.parametrize(("field", "text"), SETTINGS)
def test_a_setting_that_cannot_be_read_is_an_error_at_its_field(admin: Actor, field: str, text: str) -> None:
    browser = signed_in(admin)
    form = {"name": "Nieuwe naam", "resources_set": "1", field: text}
    for path in ("/organisation/settings/", "/organisation/templates/"):
        page = refused(browser, path, form, field)
        assert 'value="Nieuwe naam"' in page, "what was typed stays"
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get(pk=admin.organisation_id)
        assert (firm.name == "Nieuwe naam", firm.settings) == (False, {})
        assert not Template.objects.exists()


def test_a_template_is_not_changed_by_a_form_that_is_refused(admin: Actor) -> None:
    browser = signed_in(admin)
    path = browser.post("/organisation/templates/", {"name": "Nachtelijk", "schedule": "night"}).headers[
        "Location"
    ]
    page = refused(
        browser, path, {"name": " ", "schedule": "daily", "fiscal_years_back": "x"}, "fiscal_years_back"
    )
    assert 'value="x"' in page
    assert '<option value="daily" selected>' in page
    page = refused(browser, path, {"name": "", "schedule": "daily"}, "name")
    assert "Enter a name." in page
    with organisation_scope(admin.organisation_id):
        template = Template.objects.get()
        assert (template.name, template.settings) == ("Nachtelijk", {"schedule": "night"})


TOKENS = [
    ({"days": "90", "name": ""}, "name"),
    ({"days": "90", "name": "n" * 101}, "name"),
    ({"days": "90", "name": "a\0b"}, "name"),
    ({"days": "91"}, "days"),
    ({}, "days"),
    ({"days": "x"}, "days"),
    ({"days": "90", "role": "king"}, "role"),
    ({"days": "90", "access": "all"}, "access"),
]


@pytest.mark.parametrize(("strange", "field"), TOKENS)
def test_a_token_is_not_made_of_what_cannot_be_read(
    admin: Actor, strange: Mapping[str, str], field: str
) -> None:
    form = {"name": "Back-up", "access": "write", "role": "reader"} | strange
    page = refused(signed_in(admin), "/account/tokens/", form, field)
    if field == "days":
        assert 'value="Back-up"' in page
        assert "Choose a validity period." in page
        assert 'value="write" checked' in page
        assert '<option value="reader" selected>' in page
    with organisation_scope(admin.organisation_id):
        assert not ApiToken.objects.exists()


@pytest.mark.parametrize("text", ["x", "0", "1 2"])
def test_a_session_that_cannot_be_understood_does_not_mean_all_others(admin: Actor, text: str) -> None:
    elsewhere = signed_in(admin)
    assert elsewhere.get("/").status_code == 200
    page = signed_in(admin).post("/account/sessions/", {"id": text})
    assert "is not one of the options" in page.content.decode()
    assert elsewhere.get("/").status_code == 200


@pytest.mark.parametrize("text", ["", "x", "0", "99999"])
def test_only_members_act_in_an_organisation(admin: Actor, text: str) -> None:
    browser = signed_in(admin)
    page = browser.post("/account/organisations/", {"organisation": text})
    assert (page.status_code, "banner-bad" in page.content.decode()) == (200, True)
    assert browser.session.get("organisation") in (None, admin.organisation_id)


POLICIES = [
    ({"email_domains": "kantoor.nl; niets"}, "email_domains"),
    ({"email_domains": "gmail.com"}, "email_domains"),
    ({"audit_years": "3"}, "audit_years"),
    ({"audit_years": ""}, "audit_years"),
    ({"requires_mfa": "yes"}, "requires_mfa"),
    ({"requires_mfa": "1"}, "requires_mfa"),
]


@pytest.mark.parametrize(("strange", "field"), POLICIES)
def test_rules_for_everybody_are_refused_at_their_field(
    admin: Actor, strange: Mapping[str, str], field: str
) -> None:
    form = {"email_domains": "kantoor.nl", "audit_years": "2"} | strange
    page = refused(signed_in(admin), "/organisation/security/", form, field)
    assert f'name="email_domains" value="{form["email_domains"]}"' in page
    if form["audit_years"] == "2":
        assert '<option value="2" selected>' in page
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
        assert (firm.email_domains, firm.requires_mfa, firm.audit_years == 2) == ([], False, False)


def test_an_identity_provider_is_not_stored_half(admin: Actor) -> None:
    """The page that says so is the page about security, where each form goes to its own address."""
    form = {"name": "Entra", "issuer": "http//x", "client_id": "koppel", "client_secret": "hush-hush"}
    browser, path = signed_in(admin), "/organisation/security/provider"
    for strange, field in (
        ({}, "issuer"),
        ({"issuer": "https://login.test", "name": ""}, "name"),
        ({"issuer": "https://login.test", "client_secret": ""}, "client_secret"),
    ):
        page = refused(browser, path, form | strange, field)
        assert 'value="koppel"' in page
        assert "hush-hush" not in page
        assert '<form method="post" action="/organisation/security/" data-once>' in page
    with organisation_scope(admin.organisation_id):
        assert not IdentityProvider.objects.exists()


def test_operators_are_let_in_for_a_time_that_there_is(admin: Actor) -> None:
    for hours in ("", "3", "x"):
        page = refused(signed_in(admin), "/organisation/security/support", {"hours": hours}, "hours")
        assert "Choose a period." in page
    with organisation_scope(admin.organisation_id):
        assert Organisation.objects.get().operator_access_until is None


@pytest.mark.parametrize("text", ["", "x", "0", "99999"])
def test_an_operator_enters_no_organisation_that_does_not_let_them(admin: Actor, text: str) -> None:
    User.objects.filter(pk=admin.user_id).update(is_operator=True)
    browser = signed_in(admin)
    page = browser.post("/operator/enter", {"organisation": text})
    assert (page.status_code, "does not grant support access" in page.content.decode()) == (403, True)
    assert "operator_in" not in browser.session


@pytest.mark.usefixtures("admin")
def test_an_address_that_cannot_be_read_finds_no_identity_provider() -> None:
    page = refused(Client(), "/sign-in/", {"email": "x\0@kantoor.nl"}, "email")
    assert "Single sign-on is not set up" not in page
    page = refused(Client(), "/sign-in/", {"email": "anna@kantoor.nl"})
    assert "Single sign-on is not set up" in page
    assert 'value="anna@kantoor.nl"' in page


ACCESS = [
    ({"until": "31-13-2099"}, "until"),
    ({"until": "2001-01-01"}, "until"),
    ({"role": "king"}, "role"),
    ({"role": ""}, "role"),
    ({"divisions": ["1", "x"]}, "divisions"),
    ({"is_active": "perhaps"}, "is_active"),
    ({"role": "administrator"}, "role"),
]


@pytest.mark.parametrize(("strange", "field"), ACCESS)
def test_invalid_input_does_not_change_access(
    admin: Actor, actor: Any, strange: Mapping[str, Any], field: str
) -> None:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
        Division.objects.create(organisation_id=firm.pk, name="Zuid")
    leader, ben = actor("team_leader", organisation=firm), actor("user", organisation=firm, name="Ben")
    form = {"role": "reader", "until": "2099-12-31", "is_active": "1"} | strange
    page = refused(signed_in(leader), f"/organisation/people/{ben.membership_id}/", form, field)
    assert f'name="until" value="{form["until"]}"' in page
    if form["role"] == "reader":
        assert '<option value="reader" selected>' in page
    with organisation_scope(admin.organisation_id):
        membership = Membership.objects.get(pk=ben.membership_id)
        assert (membership.role, membership.is_active, membership.expires_at) == ("user", True, None)


def test_a_hand_over_without_valid_successor_changes_nothing(admin: Actor, actor: Any) -> None:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
    ben, browser = actor("user", organisation=firm, name="Ben"), signed_in(admin)
    path = f"/organisation/people/{ben.membership_id}/"
    for to, sentence in (
        ("", "Choose an active colleague"),
        ("x", "is not one of the options"),
        ("99999", "not a member"),
    ):
        answer = browser.post(f"{path}hand-over", {"to": to, "deactivate": "1"})
        assert answer.headers["Location"] == path
        assert sentence in browser.get(path).content.decode()
    with organisation_scope(admin.organisation_id):
        assert Membership.objects.get(pk=ben.membership_id).is_active


INVITED = [
    ({"email": "nobody"}, "email"),
    ({"email": "a\0b@kantoor.nl"}, "email"),
    ({"name": "n" * 201}, "name"),
    ({"role": "king"}, "role"),
    ({"until": "soon"}, "until"),
    ({"until": "2001-01-01"}, "until"),
    ({"divisions": "-1"}, "divisions"),
]


@pytest.mark.parametrize(("strange", "field"), INVITED)
def test_invalid_input_sends_no_invitation(admin: Actor, strange: Mapping[str, str], field: str) -> None:
    with organisation_scope(admin.organisation_id):
        division = Division.objects.create(organisation_id=admin.organisation_id, name="Zuid")
    form = {
        "email": "ben@kantoor.nl",
        "name": "Ben",
        "role": "reader",
        "divisions": str(division.pk),
    } | strange
    page = refused(signed_in(admin), "/organisation/people/invite/", form, field)
    if field == "until":
        assert 'value="ben@kantoor.nl"' in page
        assert '<option value="reader" selected>' in page
        assert f'name="divisions" value="{division.pk}" checked' in page
        assert f'value="{form["until"]}"' in page
    with organisation_scope(admin.organisation_id):
        assert not Invitation.objects.exists()


def test_a_list_that_cannot_be_read_stays_to_be_put_right(admin: Actor) -> None:
    browser = signed_in(admin)
    page = refused(browser, "/organisation/people/invite/many/", {"text": "a\0b@kantoor.nl"}, "text")
    assert "@kantoor.nl</textarea>" in page
    page = refused(browser, "/organisation/people/invite/many/", {"text": ";\n", "confirmed": "1"})
    assert "No line contains an e-mail address" in page
    with organisation_scope(admin.organisation_id):
        assert not Invitation.objects.exists()


def test_accepting_with_invalid_input_shows_errors_at_the_fields(admin: Actor) -> None:
    with organisation_scope(admin.organisation_id):
        path = invitations.link_of(invitations.invite(admin, InvitationInput(email="ben@kantoor.nl")))
    path = "/" + path.split("/", 3)[3]
    good = {"name": "Ben Bos", "password": "correct horse battery"}
    for strange, field in (
        ({"name": " "}, "name"),
        ({"name": "\0"}, "name"),
        ({"password": "short"}, "password"),
    ):
        page = refused(Client(), path, good | strange, field)
        assert "correct horse" not in page
    assert 'value="Ben Bos"' in page
    assert not User.objects.filter(email="ben@kantoor.nl").exists()


def test_ticks_stay_on_the_page_of_a_division_that_is_refused(admin: Actor, actor: Any) -> None:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
        Division.objects.create(organisation_id=firm.pk, name="Noord")
    ben, eva = (actor("user", organisation=firm, name=name) for name in ("Ben", "Eva"))
    browser = signed_in(admin)
    path = browser.post("/organisation/divisions/", {"name": "Zuid"}).headers["Location"]
    browser.post(path, {"name": "Zuid", "has_people": "1", "people": [ben.membership_id]})
    form = {"name": "noord", "has_people": "1", "people": [eva.membership_id], "archived": "1"}
    for strange in ({}, {"name": "n" * 121}, {"name": ""}):
        page = form_of(refused(browser, path, form | strange, "name"))
        assert (page["people"], page["archived"]) == ([str(eva.membership_id)], ["1"])
    page = form_of(refused(browser, path, {"name": "noord", "has_people": "1"}, "name"))
    assert "people" not in page, "what was unticked stays so"
    with organisation_scope(admin.organisation_id):
        division = Division.objects.get(name="Zuid")
        members = DivisionMember.objects.filter(division=division).values_list("membership_id", flat=True)
        assert (list(members), division.archived_at) == ([ben.membership_id], None)


def test_a_division_takes_only_people_who_have_access(admin: Actor, actor: Any) -> None:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
        gone = actor("user", organisation=firm, name="Ben")
        Membership.objects.filter(pk=gone.membership_id).update(is_active=False)
    browser = signed_in(admin)
    path = browser.post("/organisation/divisions/", {"name": "Zuid"}).headers["Location"]
    for person in (gone.membership_id, actor("user").membership_id, 2**50):
        page = refused(browser, path, {"name": "Oost", "has_people": "1", "people": [person]}, "people")
        assert "Choose active people." in page
    with organisation_scope(admin.organisation_id):
        assert (Division.objects.get().name, DivisionMember.objects.exists()) == ("Zuid", False)


def test_a_persons_ticks_stay_when_something_else_is_refused(admin: Actor, actor: Any) -> None:
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
        zuid, noord = (
            Division.objects.create(organisation_id=firm.pk, name=name) for name in ("Zuid", "Noord")
        )
    ben = actor("user", organisation=firm, name="Ben")
    path = f"/organisation/people/{ben.membership_id}/"
    browser = signed_in(admin)
    browser.post(path, {"role": "user", "divisions": [zuid.pk], "is_active": "1"})
    page = form_of(
        refused(browser, path, {"role": "reader", "divisions": [noord.pk], "until": "soon"}, "until")
    )
    assert (page["role"], page["divisions"], page["until"]) == (["reader"], [str(noord.pk)], ["soon"])
    assert "is_active" not in page
    refused(browser, path, {}, "role")


def test_a_templates_archived_tick_stays_when_its_name_is_refused(admin: Actor) -> None:
    browser = signed_in(admin)
    path = browser.post("/organisation/templates/", {"name": "Nachtelijk"}).headers["Location"]
    for archived in (["1"], []):
        page = form_of(refused(browser, path, {"name": "n" * 121, "archived": archived}, "name"))
        assert page.get("archived", []) == archived
