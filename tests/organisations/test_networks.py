"""An organisation limits the networks from which its members come."""

from typing import Any

import pytest
from django.test import Client

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import allowed_networks, api_tokens, security_policy
from koppel.organisations.bootstrap import shell_operator
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership, Organisation, User
from koppel.organisations.people import operators
from koppel.organisations.roles import Actor
from tests.fixtures.people import PASSWORD, signed_in

SECURITY = "/organisation/security/"
OFFICE, ELSEWHERE = {"REMOTE_ADDR": "192.0.2.7"}, {"REMOTE_ADDR": "203.0.113.9"}


def limit(admin: Actor, text: str = "192.0.2.0/24", **at: str) -> str:
    form = {"networks": text, "audit_years": "7"}
    return signed_in(admin).post(SECURITY, form, follow=True, **(at or OFFICE)).content.decode()


def test_members_and_tokens_come_in_from_the_named_networks_alone(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        firm = Organisation.objects.get()
        token = api_tokens.create_token(admin, name="t", days=30, role=None, read_only=True)[1].reveal()
    member, program = (
        signed_in(actor("user", organisation=firm)),
        {"headers": {"Authorization": f"Bearer {token}"}},
    )
    assert member.get("/", **ELSEWHERE).status_code == 200
    assert "Saved" in limit(admin)
    refused = member.get("/", **ELSEWHERE)
    assert (refused.status_code, "203.0.113.9" in refused.content.decode()) == (403, True)
    assert member.post("/organisation/settings/", {"name": "x"}, **ELSEWHERE).status_code == 403
    answer = member.get("/api/v1/me", **ELSEWHERE)
    assert (answer.status_code, answer.json()) == (403, {"error": "network_not_allowed"})
    assert Client().get("/api/v1/me", **program, **ELSEWHERE).json() == {"error": "network_not_allowed"}
    assert member.get("/", **OFFICE).status_code == 200
    assert Client().get("/api/v1/me", **program, **OFFICE).status_code == 200


def test_nobody_locks_themselves_out_unawares_and_the_shell_lets_in_again(actor: Any) -> None:
    admin = actor("administrator")
    assert "you would lose access" in limit(admin, **ELSEWHERE)
    assert "is not an address or a network" in limit(admin, "192.0.2.0/24, office")
    limit(admin)
    assert signed_in(admin).get("/", **ELSEWHERE).status_code == 403
    security_policy.allow_all_networks(shell_operator("root", ""), admin.organisation_id)
    assert signed_in(admin).get("/", **ELSEWHERE).status_code == 200
    with organisation_scope(admin.organisation_id):
        changes = AuditEntry.objects.filter(action="organisation.security_changed").order_by("pk")
        assert [one.details["after"]["networks"] for one in changes] == [["192.0.2.0/24"], []]


def test_a_member_elsewhere_may_work_for_another_organisation(actor: Any) -> None:
    strict, easy = actor("administrator"), actor("administrator")
    with organisation_scope(easy.organisation_id):
        Membership.objects.create(organisation_id=easy.organisation_id, user_id=strict.user_id, role="reader")
    limit(strict)
    client = signed_in(strict)
    assert client.get("/", **ELSEWHERE).status_code == 403
    client.post("/account/organisations/", {"organisation": easy.organisation_id}, **ELSEWHERE)
    assert client.get("/", **ELSEWHERE).status_code == 200


def test_an_operator_looks_in_from_the_named_networks_alone(actor: Any) -> None:
    admin, otto = actor("administrator"), actor("user", name="Otto")
    operators.grant_operator(User.objects.get(pk=otto.user_id).email, is_operator=True)
    limit(admin)
    signed_in(admin).post(f"{SECURITY}support", {"hours": "2"}, **OFFICE)
    client, form = signed_in(otto), {"organisation": admin.organisation_id}
    refused = client.post("/operator/enter", form, **ELSEWHERE)
    assert (refused.status_code, "its own networks only" in refused.content.decode()) == (403, True)
    assert client.get(SECURITY, **ELSEWHERE).status_code in (403, 404)
    client.post("/operator/enter", form, **OFFICE)
    assert client.get("/organisation/activity/", **OFFICE).status_code == 200
    assert client.get("/organisation/activity/", **ELSEWHERE).status_code != 200


def test_addresses_are_compared_in_every_form() -> None:
    assert allowed_networks.parse_networks("192.0.2.7; 2001:db8::/32,192.0.2.7") == (
        "192.0.2.7/32",
        "2001:db8::/32",
    )
    for address in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "2001:db8::1%eth0"):
        assert allowed_networks.contains(("192.0.2.7/32", "2001:db8::/32"), address), address
    for address in ("192.0.2.8", "2001:db9::1", "", "unknown"):
        assert not allowed_networks.contains(("192.0.2.7/32", "2001:db8::/32"), address), address
    with pytest.raises(Refused):
        allowed_networks.parse_networks(" ".join(["192.0.2.1"] * (allowed_networks.NETWORKS_MAX + 1)))


def test_a_new_password_revokes_tokens_when_chosen(actor: Any) -> None:
    for chosen in (False, True):
        user = actor("user")
        with organisation_scope(user.organisation_id):
            token = api_tokens.create_token(user, name="t", days=30, role=None, read_only=True)[1].reveal()
        client = Client()
        client.post(
            "/accounts/login/", {"login": User.objects.get(pk=user.user_id).email, "password": PASSWORD}
        )
        page = client.get("/accounts/password/change/").content.decode()
        assert "Also revoke my API tokens" in page
        new = {"oldpassword": PASSWORD, "password1": "seven green herons", "password2": "seven green herons"}
        client.post("/accounts/password/change/", new | ({"revoke_tokens": "on"} if chosen else {}))
        answer = Client().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == (401 if chosen else 200)
