"""Linking an identity whose address is not the account's: an Administrator approves it, or nobody."""

from typing import Any

import pytest

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import FederatedIdentity, Membership, Organisation
from koppel.organisations.roles import Actor, Role
from tests.fixtures.people import signed_in
from tests.organisations.provider_processes import (
    SECURITY,
    Idp,
    configure,
    email_of,
    link,
    sign_in_through_provider,
)


@pytest.fixture
def admin(actor: Any, idp: Idp) -> Actor:
    person: Actor = actor("administrator", name="Ada")
    configure(person, idp)
    return person


@pytest.fixture
def leader(admin: Actor, actor: Any) -> Actor:
    with installation_scope("the same firm"):
        firm = Organisation.objects.get(pk=admin.organisation_id)
    person: Actor = actor("team_leader", organisation=firm, name="Lea")
    return person


def links_of(admin: Actor) -> list[tuple[str, bool]]:
    with organisation_scope(admin.organisation_id):
        return list(FederatedIdentity.objects.order_by("pk").values_list("subject", "is_approved"))


def person_page(person: Actor) -> str:
    return f"/organisation/people/{person.membership_id}/"


def answer_to_waiting(person: Actor, word: str) -> str:
    """The address of the button *Approve sign-in* or *Reject*."""
    with organisation_scope(person.organisation_id):
        waiting = FederatedIdentity.objects.get(membership_id=person.membership_id, is_approved=False)
    return f"{person_page(person)}sign-in/{waiting.pk}/{word}"


def require_sso(admin: Actor, idp: Idp) -> Any:
    """Single sign-on is required; the Administrator's session, which the provider opened."""
    idp.says(sub="ada")
    link(admin, admin)
    client = sign_in_through_provider(admin).client
    assert "is now required" in client.post(SECURITY + "provider/require", follow=True).content.decode()
    return client


@pytest.mark.parametrize("claims", [{"email": "x@x.example", "email_verified": True}, {}])
def test_an_administrator_approves_another_address(
    admin: Actor, leader: Actor, idp: Idp, claims: dict[str, Any]
) -> None:
    idp.says(sub="lea", **claims)
    assert "an Administrator must approve" in link(admin, leader).content.decode()
    assert links_of(admin) == [("lea", False)]
    assert sign_in_through_provider(admin).status_code == 403
    assert signed_in(leader).post(answer_to_waiting(leader, "approve")).status_code == 403
    page = signed_in(admin).get(person_page(leader)).content.decode()
    assert claims.get("email", "“lea”") in page
    assert answer_to_waiting(leader, "reject") in page
    assert "/approve" not in signed_in(leader).get(person_page(leader)).content.decode()
    signed_in(admin).post(answer_to_waiting(leader, "approve"))
    assert sign_in_through_provider(admin).client.get("/api/v1/me").json()["name"] == "Lea"
    with organisation_scope(admin.organisation_id):
        actions = AuditEntry.objects.filter(action__startswith="person.identity").order_by("pk")
        assert list(actions.values_list("action", flat=True)) == [
            "person.identity_waiting",
            "person.identity_approved",
        ]


def test_a_link_that_waits_keeps_the_owner_from_nothing(admin: Actor, leader: Actor, idp: Idp) -> None:
    idp.says(sub="thief", email="x@x.example", email_verified=True)
    link(admin, leader)
    stale = answer_to_waiting(leader, "approve")
    signed_in(admin).post(answer_to_waiting(leader, "reject"))
    assert links_of(admin) == []
    link(admin, leader)
    idp.says(sub="lea", email=email_of(leader).upper(), email_verified=True)
    assert "you can sign in with Inlog" in link(admin, leader).content.decode()
    assert "no longer waits" in signed_in(admin).post(stale, follow=True).content.decode()
    assert links_of(admin) == [("lea", True)]


def test_while_single_sign_on_is_required_another_address_links_nothing(
    admin: Actor, leader: Actor, idp: Idp
) -> None:
    """A password that leaked must not become a way in; without an address an Administrator may vouch."""
    administrator = require_sso(admin, idp)
    idp.says(sub="thief", email="x@x.example", email_verified=True)
    assert "must be the same" in link(admin, leader).content.decode()
    assert links_of(admin) == [("ada", True)]
    idp.says(sub="lea")
    link(admin, leader)
    assert links_of(admin) == [("ada", True), ("lea", False)]
    assert signed_in(admin).post(answer_to_waiting(leader, "approve")).status_code == 403
    administrator.post(answer_to_waiting(leader, "approve"))
    assert sign_in_through_provider(admin).client.get("/api/v1/me").json()["name"] == "Lea"


def test_from_outside_the_networks_of_the_organisation_nobody_links(
    admin: Actor, actor: Any, idp: Idp
) -> None:
    """The session acts in another organisation, which has no such rule."""
    elsewhere: Actor = actor("administrator")
    with organisation_scope(admin.organisation_id):
        Organisation.objects.update(networks=["10.9.0.0/16"])
        Membership.objects.create(
            organisation_id=admin.organisation_id, user_id=elsewhere.user_id, role=Role.READER
        )
    idp.says(sub="elsewhere", email=email_of(elsewhere), email_verified=True)
    client = signed_in(elsewhere)
    client.post("/account/organisations/", {"organisation": elsewhere.organisation_id})
    page = sign_in_through_provider(admin, client).headers["Location"]
    assert "own networks only" in client.post(page, follow=True).content.decode()
    assert links_of(admin) == []
