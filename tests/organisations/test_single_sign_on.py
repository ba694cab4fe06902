"""Single sign-on with an organisation's own identity provider, a separate process."""

import re
from typing import Any

import pytest
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Membership, Organisation
from koppel.organisations.roles import Actor
from tests.organisations.provider_processes import (
    Idp,
    begin,
    configure,
    email_of,
    get_redirect,
    link,
    open_address,
    provider_id,
    sign_in_through_provider,
)


def test_a_member_signs_in_and_is_known_by_subject_from_then_on(admin: Actor, idp: Idp) -> None:
    idp.says()
    assert "The identity provider works" in configure(admin, idp)
    idp.says(sub="7", email=email_of(admin).upper(), email_verified=True)
    assert "From now on you can sign in with Inlog" in link(admin, admin).content.decode()
    idp.says(sub="7", email="renamed@example.test", email_verified=False)
    answer = sign_in_through_provider(admin)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert answer.client.get("/").status_code == 200


def test_the_answer_to_a_stranger_does_not_say_whether_there_is_an_account(
    admin: Actor, actor: Any, idp: Idp
) -> None:
    idp.says()
    configure(admin, idp)
    pages = set()
    for email in ("unknown@example.test", email_of(actor("administrator")), email_of(admin)):
        idp.says(sub=email, email=email, email_verified=True)
        answer = sign_in_through_provider(admin)
        assert answer.status_code == 403
        changing = r'name="csrfmiddlewaretoken" value="[^"]*"|/callback[?][^"]*'
        pages.add(re.sub(changing, "", answer.content.decode()))
    assert len(pages) == 1


def test_who_is_invited_becomes_a_member_by_the_first_sign_in(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        invitations.invite(admin, InvitationInput(email="nieuw@example.test"))
    idp.says(sub="10", email="nieuw@example.test", email_verified=True, name="Noor")
    assert sign_in_through_provider(admin).status_code == 302
    with installation_scope("test"):
        membership = Membership.objects.select_related("user").get(user__email="nieuw@example.test")
    assert (membership.user.name, membership.user.has_usable_password()) == ("Noor", False)


def test_an_invitation_outside_a_later_rule_is_not_accepted_by_single_sign_on_either(
    admin: Actor, idp: Idp
) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        invitations.invite(admin, InvitationInput(email="nieuw@example.test"))
        Organisation.objects.update(email_domains=["kantoor.nl"])
    idp.says(sub="10", email="nieuw@example.test", email_verified=True, name="Noor")
    answer = sign_in_through_provider(admin)
    assert answer.status_code == 403
    assert "accepts addresses of kantoor.nl" in answer.content.decode()


@pytest.mark.parametrize(
    "fault",
    [
        "nonce",
        "strange nonce",
        "audience",
        "expired",
        "key",
        "unsigned",
        "symmetric",
        "azp",
        "no azp",
        "lone azp",
        "issuer of token",
        "long subject",
        "huge keys",
    ],
)
def test_an_invalid_proof_is_refused(admin: Actor, idp: Idp, fault: str) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7", email=email_of(admin), email_verified=True)
    link(admin, admin)
    assert sign_in_through_provider(admin).status_code == 302
    idp.says(fault, sub="7", email=email_of(admin), email_verified=True)
    answer = sign_in_through_provider(admin)
    assert answer.status_code == 403
    assert answer.client.get("/").status_code == 302
    with organisation_scope(admin.organisation_id):
        assert AuditEntry.objects.filter(action="sign_in.refused").count() == 1


def test_an_answer_for_another_browser_is_refused(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7")
    link(admin, admin)
    other_browser = Client()
    begin(admin, other_browser)
    answer = get_redirect(begin(admin, Client()))
    assert open_address(other_browser, answer).status_code == 400
    assert other_browser.get("/").status_code == 302


def test_an_answer_serves_once(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="7")
    link(admin, admin)
    client = Client()
    answer = get_redirect(begin(admin, client))
    assert open_address(client, answer).status_code == 302
    client.post("/accounts/logout/")
    assert open_address(client, answer).status_code == 400


def test_two_tabs_on_their_way_at_once_both_come_back(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    idp.says(sub="nobody yet")
    client = Client()
    first, second = (get_redirect(begin(admin, client)) for _tab in range(2))
    assert [open_address(client, answer).status_code for answer in (first, second)] == [403, 403]
    with organisation_scope(admin.organisation_id):
        assert not AuditEntry.objects.filter(action="sign_in.refused").exists()


def test_a_page_shows_the_provider_before_the_redirect(admin: Actor, idp: Idp) -> None:
    idp.says()
    configure(admin, idp)
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(name="Kantoor Noord")
    careful = Client(enforce_csrf_checks=True)
    address = f"/sign-in/{provider_id(admin)}/"
    page = careful.get(address)
    assert page.status_code == 200
    words = page.content.decode()
    assert all(
        word in words for word in ("Kantoor Noord", idp.issuer.removeprefix("http://"), "Continue to Inlog")
    )
    assert careful.post(address).status_code == 403
    assert "form-action 'self' https:" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize("fault", ["no text", "port"])
def test_a_provider_that_describes_itself_in_nonsense_is_refused_with_a_sentence(
    admin: Actor, idp: Idp, fault: str
) -> None:
    idp.says(fault)
    assert "No configuration found at this address" in configure(admin, idp)
    idp.says()
