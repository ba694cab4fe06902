"""An account belongs to its person.

What one organisation or its identity provider states about a person changes nothing elsewhere, adds no
membership, and is notified.
"""

import asyncio
import io
import json
import re
import time
from contextlib import redirect_stdout
from datetime import timedelta
from typing import Any

import pytest
import typer
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client
from django.utils import timezone

from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.notifications.email import delivery
from koppel.notifications.models import Notification
from koppel.organisations.commands import people as people_commands
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import FederatedIdentity, Invitation, Membership, User
from koppel.organisations.people import services as people_services
from koppel.organisations.requests import RECENT_SECONDS, SIGNED_IN_AT
from koppel.organisations.roles import Actor, Role
from tests.fixtures.people import PASSWORD, deliver_password_links, signed_in
from tests.organisations.provider_processes import (
    Idp,
    configure,
    email_of,
    link,
    provider_id,
    sign_in_through_provider,
)


@pytest.fixture
def eve(actor: Any) -> Actor:
    """Administrator of the hostile firm, which is the older one: its number is the lower."""
    return actor("administrator", name="Eve")  # type: ignore[no-any-return]


@pytest.fixture
def ada(eve: Actor, actor: Any) -> Actor:
    """Administrator of a firm of her own, the victim."""
    return actor("administrator", name="Ada")  # type: ignore[no-any-return]


def by_password(email: str, browser: Client | None = None) -> Client:
    """Signed in with the password, in a new browser."""
    client = browser or Client()
    answer = client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    assert answer.status_code == 302, answer.content.decode()
    return client


def active_organisation_id(client: Client) -> int:
    """The organisation in which this browser acts."""
    return int(client.get("/api/v1/me").json()["organisation"]["id"])


def invite_by_email(admin: Actor, email: str, role: Role = Role.TEAM_LEADER, language: str = "en") -> str:
    """The path of the link in the mail."""
    with organisation_scope(admin.organisation_id):
        invitation = invitations.invite(admin, InvitationInput(email=email, role=role), language=language)
        return "/invitation/" + invitations.link_of(invitation).partition("/invitation/")[2]


def memberships_of(person: Actor) -> set[int]:
    with installation_scope("test"):
        return set(
            Membership.objects.filter(user_id=person.user_id).values_list("organisation_id", flat=True)
        )


def notices_of(person: Actor) -> list[str]:
    with organisation_scope(person.organisation_id):
        notifications = Notification.objects.filter(membership_id=person.membership_id).exclude(
            event_type="new_sign_in"
        )
        return list(notifications.order_by("pk").values_list("event_type", flat=True))


def test_a_provider_cannot_add_an_existing_account(eve: Actor, ada: Actor, idp: Idp) -> None:
    """Eve invites Ada, and signs in at her own provider as Ada.

    Then Ada signs in with her password, as always.
    """
    configure(eve, idp)
    invite_by_email(eve, email_of(ada), language="nl")
    idp.says(sub="ada", email=email_of(ada), email_verified=True, name="Ada")
    answer = sign_in_through_provider(eve)
    assert answer.status_code == 403
    assert answer.client.get("/api/v1/me").status_code == 401
    answer.client.post("/language", {"language": "nl"})
    assert memberships_of(ada) == {ada.organisation_id}
    assert active_organisation_id(by_password(email_of(ada))) == ada.organisation_id
    assert User.objects.get(pk=ada.user_id).language == ""
    with installation_scope("test"):
        assert not FederatedIdentity.objects.exists()
        assert Invitation.objects.get().accepted_at is None, "It is Ada's to accept."


@pytest.mark.parametrize("spelling", [str.upper, str.title])
def test_a_provider_cannot_add_an_account_by_another_spelling(
    eve: Actor, ada: Actor, idp: Idp, spelling: Any
) -> None:
    configure(eve, idp)
    invite_by_email(eve, spelling(email_of(ada)))
    idp.says(sub="ada", email=spelling(email_of(ada)), email_verified=True)
    assert sign_in_through_provider(eve).status_code == 403
    assert memberships_of(ada) == {ada.organisation_id}
    assert User.objects.filter(email__iexact=email_of(ada)).count() == 1


def test_accepting_an_invitation_keeps_the_home_organisation(eve: Actor, ada: Actor) -> None:
    path = invite_by_email(eve, email_of(ada))
    browser = by_password(email_of(ada))
    browser.post(path)
    assert memberships_of(ada) == {ada.organisation_id, eve.organisation_id}
    assert active_organisation_id(browser) == eve.organisation_id, "Accepted in this session."
    assert notices_of(ada) == ["membership_began"], "Told where she works."
    assert "a member of" in by_password(email_of(ada)).get("/notifications/").content.decode()
    assert active_organisation_id(by_password(email_of(ada))) == ada.organisation_id


def test_a_session_that_a_provider_opened_accepts_no_invitation(
    eve: Actor, ada: Actor, actor: Any, idp: Idp
) -> None:
    """Ada works for Eve too, and Eve's provider signs in whomever Eve wants."""
    third = actor("administrator", name="Third")
    by_password(email_of(ada)).post(invite_by_email(eve, email_of(ada)))
    configure(eve, idp)
    idp.says(sub="ada", email=email_of(ada), email_verified=True)
    link(eve, ada)
    vouched = sign_in_through_provider(eve).client
    path = invite_by_email(third, email_of(ada))
    assert "cannot accept invitations" in vouched.get(path).content.decode()
    assert vouched.post(path).status_code == 403
    assert third.organisation_id not in memberships_of(ada)


def test_a_provider_cannot_accept_invitations_of_others(eve: Actor, ada: Actor, actor: Any, idp: Idp) -> None:
    """Eve invites somebody before Ada does, and lets her provider make the account.

    The person knows nothing of it.
    """
    configure(eve, idp)
    email = "nieuw@example.test"
    invite_by_email(eve, email)
    idp.says(sub="nieuw", email=email, email_verified=True, name="Noor")
    assert sign_in_through_provider(eve).status_code == 302
    user = User.objects.get(email=email)
    path = invite_by_email(ada, email)
    assert "You have an account as" in Client().get(path).content.decode()
    user.set_password(PASSWORD)  # by the link that is mailed to the address
    user.save()
    by_password(email).post(path)
    assert active_organisation_id(by_password(email)) == ada.organisation_id
    with organisation_scope(ada.organisation_id):
        membership = Membership.objects.get(user=user)
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    reset = f"/organisation/people/{membership.pk}/second-step"
    assert "verification removed" in signed_in(ada).post(reset, follow=True).content.decode()
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    with organisation_scope(eve.organisation_id):
        at_eve = Membership.objects.get(user=user)
    reset = f"/organisation/people/{at_eve.pk}/second-step"
    assert "also works for another organisation" in signed_in(eve).post(reset, follow=True).content.decode()


def test_joining_another_organisation_does_not_weaken_the_account(eve: Actor, ada: Actor, idp: Idp) -> None:
    """Ada's provider made Noor's account, and she has worked there since. Then Eve invites her."""
    configure(ada, idp)
    email = "noor@example.test"
    invite_by_email(ada, email)
    idp.says(sub="noor", email=email, email_verified=True, name="Noor")
    for _twice in range(2):
        assert sign_in_through_provider(ada).status_code == 302
    user = User.objects.get(email=email)
    user.set_password(PASSWORD)
    user.save()
    by_password(email).post(invite_by_email(eve, email))
    assert active_organisation_id(by_password(email)) == ada.organisation_id
    Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
    with organisation_scope(eve.organisation_id):
        at_eve = Membership.objects.get(user=user)
    reset = f"/organisation/people/{at_eve.pk}/second-step"
    assert "also works for another organisation" in signed_in(eve).post(reset, follow=True).content.decode()


def test_access_that_home_gives_back_is_still_protected_from_others(
    eve: Actor, ada: Actor, actor: Any
) -> None:
    with organisation_scope(ada.organisation_id):
        firm = Membership.objects.get(pk=ada.membership_id).organisation
    noor = actor("administrator", organisation=firm, name="Noor")
    by_password(email_of(noor)).post(invite_by_email(eve, email_of(noor)))
    with organisation_scope(ada.organisation_id):
        access = people_services.terms_of(people_services.get_member(ada, noor.membership_id))
        people_services.update_membership(
            ada,
            noor.membership_id,
            people_services.MembershipTerms(
                role=access.role, is_active=False, expires_at=None, divisions=frozenset()
            ),
        )
        people_services.update_membership(ada, noor.membership_id, access)
    Authenticator.objects.create(user_id=noor.user_id, type=Authenticator.Type.TOTP, data={})
    with organisation_scope(eve.organisation_id):
        at_eve = Membership.objects.get(user_id=noor.user_id)
    reset = f"/organisation/people/{at_eve.pk}/second-step"
    assert "also works for another organisation" in signed_in(eve).post(reset, follow=True).content.decode()


def test_restored_access_does_not_change_the_current_organisation(eve: Actor, ada: Actor) -> None:
    """Ada once worked for Eve, and chose that firm last. Eve lets her in again without asking her."""
    by_password(email_of(ada)).post(invite_by_email(eve, email_of(ada)))
    by_password(email_of(ada)).post("/account/organisations/", {"organisation": eve.organisation_id})
    assert active_organisation_id(by_password(email_of(ada))) == eve.organisation_id
    with organisation_scope(eve.organisation_id):
        membership = Membership.objects.get(user_id=ada.user_id)
        access = people_services.terms_of(membership)
        people_services.update_membership(
            eve,
            membership.pk,
            people_services.MembershipTerms(
                role=access.role, is_active=False, expires_at=None, divisions=frozenset()
            ),
        )
        people_services.update_membership(eve, membership.pk, access)
    assert active_organisation_id(by_password(email_of(ada))) == ada.organisation_id
    assert notices_of(ada) == ["membership_began", "membership_began"]


def test_a_password_sign_in_opens_the_organisation_that_was_chosen_last(
    eve: Actor, ada: Actor, idp: Idp
) -> None:
    configure(ada, idp)
    by_password(email_of(ada)).post(invite_by_email(eve, email_of(ada)))
    browser = by_password(email_of(ada))
    browser.post("/account/organisations/", {"organisation": eve.organisation_id})
    assert active_organisation_id(by_password(email_of(ada))) == eve.organisation_id
    idp.says(sub="ada")
    link(ada, ada)
    assert active_organisation_id(sign_in_through_provider(ada).client) == ada.organisation_id
    assert active_organisation_id(by_password(email_of(ada))) == eve.organisation_id, (
        "Single sign-on chooses for one session only."
    )
    browser.post("/account/organisations/", {"organisation": ada.organisation_id})
    assert active_organisation_id(by_password(email_of(ada))) == ada.organisation_id


def test_switching_in_the_browser_does_not_affect_the_command_line(eve: Actor, ada: Actor) -> None:
    by_password(email_of(ada)).post(invite_by_email(eve, email_of(ada)))
    by_password(email_of(ada)).post("/account/organisations/", {"organisation": eve.organisation_id})
    with redirect_stdout(io.StringIO()) as printed:
        words = ["list", "--as", email_of(ada), "--json"]
        typer.main.get_command(people_commands.app).main(
            args=words, prog_name="koppel", standalone_mode=False
        )
    assert [row["email"] for row in json.loads(printed.getvalue().splitlines()[-1])] == [email_of(ada)]


def test_an_account_without_password_gets_one_by_mail_and_links(ada: Actor, idp: Idp) -> None:
    """The provider made the account; then the firm moves to another one, where the person is not linked."""
    configure(ada, idp)
    email = "nieuw@example.test"
    invite_by_email(ada, email)
    idp.says(sub="nieuw", email=email, email_verified=True, name="Noor")
    assert sign_in_through_provider(ada).status_code == 302
    Client().post("/accounts/password/reset/", {"email": email})
    deliver_password_links()
    (message,) = [
        message for message in mail.outbox if message.to == [email] and "/password/reset/key/" in message.body
    ]
    path = re.search(r"/accounts/password/reset/key/\S+", str(message.body))
    assert path is not None
    browser = Client()
    form = browser.get(path[0]).headers["Location"]
    browser.post(form, {"password1": "another horse battery", "password2": "another horse battery"})
    answer = browser.post("/accounts/login/", {"login": email, "password": "another horse battery"})
    assert answer.status_code == 302
    idp.says(sub="another subject", email=email, email_verified=True)
    assert sign_in_through_provider(ada).status_code == 403
    assert sign_in_through_provider(ada, browser).headers["Location"] == f"/sign-in/{provider_id(ada)}/link"


def test_the_organisation_that_was_joined_first_goes_before_the_lower_number(eve: Actor, ada: Actor) -> None:
    assert eve.organisation_id < ada.organisation_id
    with organisation_scope(eve.organisation_id):
        Membership.objects.create(
            organisation_id=eve.organisation_id,
            user_id=ada.user_id,
            role=Role.READER,
            joined_at=timezone.now() + timedelta(minutes=1),
        )
    assert active_organisation_id(by_password(email_of(ada))) == ada.organisation_id


def test_a_provider_changes_nothing_that_holds_for_the_account_elsewhere(
    eve: Actor, ada: Actor, idp: Idp
) -> None:
    """Ada works for both and linked Eve's provider.

    Whoever signs in there as Ada speaks for Eve's firm only.
    """
    by_password(email_of(ada)).post(invite_by_email(eve, email_of(ada)))
    configure(eve, idp)
    idp.says(sub="ada", email=email_of(ada), email_verified=True)
    link(eve, ada)
    vouched = sign_in_through_provider(eve).client
    vouched.post("/language", {"language": "nl"})
    assert 'lang="nl"' in vouched.get("/").content.decode()
    assert User.objects.get(pk=ada.user_id).language == ""
    vouched.post("/account/organisations/", {"organisation": eve.organisation_id})
    assert User.objects.get(pk=ada.user_id).last_organisation is None
    assert "koppel_browser" not in vouched.cookies, "Its browser is not one in which Ada typed her password."


def test_linking_notifies_the_person_by_mail_and_on_screen(eve: Actor, ada: Actor, idp: Idp) -> None:
    configure(ada, idp)
    idp.says(sub="ada")
    link(ada, ada)
    assert notices_of(ada) == ["sign_in_linked"]
    asyncio.run(delivery.send_due(ada.organisation_id))
    assert [(message.to, "can now sign you in" in message.body) for message in mail.outbox] == [
        ([email_of(ada)], True)
    ]


def test_a_session_of_an_earlier_sign_in_links_nothing(ada: Actor, idp: Idp) -> None:
    """A stolen cookie would become lasting access."""
    configure(ada, idp)
    idp.says(sub="thief", email=email_of(ada), email_verified=True)
    browser = signed_in(ada)
    page = sign_in_through_provider(ada, browser).headers["Location"]
    session = browser.session
    session[SIGNED_IN_AT] = time.time() - RECENT_SECONDS - 1
    session.save()
    assert browser.post(page).headers["Location"].startswith("/accounts/reauthenticate/")
    with organisation_scope(ada.organisation_id):
        assert not FederatedIdentity.objects.exists()


def test_the_link_page_takes_no_get_and_no_forged_post(ada: Actor, idp: Idp) -> None:
    configure(ada, idp)
    idp.says(sub="ada")
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(User.objects.get(pk=ada.user_id))
    page = f"/sign-in/{provider_id(ada)}/link"
    assert careful.post(page).status_code == 403
    plain = signed_in(ada)
    sign_in_through_provider(ada, plain)
    plain.get(page)
    with organisation_scope(ada.organisation_id):
        assert not FederatedIdentity.objects.exists()
