"""API tokens of a member: permissions, limits, and entries in the audit log."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from koppel.audit.models import AuditEntry
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from koppel.organisations.models import ApiToken, Membership, User
from koppel.organisations.roles import Actor, Role

ME = "/api/v1/me"


def token_of(actor: Actor, **options: Any) -> str:
    with organisation_scope(actor.organisation_id):
        params: dict[str, Any] = {"name": "Reports", "days": 30, "role": None, "read_only": True, **options}
        return api_tokens.create_token(actor, **params)[1].reveal()


def call_api(text: str, path: str = ME, method: str = "GET") -> Any:
    return Client(enforce_csrf_checks=True).generic(method, path, headers={"Authorization": f"Bearer {text}"})


def test_a_token_shows_its_member_and_organisation(actor: Any) -> None:
    leader = actor("team_leader", name="Lena")
    body = call_api(token_of(leader)).json()
    assert (body["name"], body["role"], body["token"], body["read_only"]) == (
        "Lena",
        "team_leader",
        "Reports",
        True,
    )
    assert body["organisation"]["id"] == leader.organisation_id


def test_the_page_shows_a_token_once(actor: Any) -> None:
    user, client = actor("user"), Client()
    client.force_login(User.objects.get(pk=user.user_id))
    response = client.post("/account/tokens/", {"name": "Backup <x>", "days": "90", "access": "read"})
    text = response.content.decode().split('id="token-text" value="')[1].split('"')[0]
    assert response.headers["Cache-Control"] == "no-store"
    assert text.startswith("koppel_")
    assert call_api(text).status_code == 200
    later = client.get("/account/tokens/").content.decode()
    assert "Backup &lt;x&gt;" in later
    assert text not in later
    with organisation_scope(user.organisation_id):
        stored = ApiToken.objects.get()
        assert text.encode() not in bytes(stored.hash)
        client.post(f"/account/tokens/{stored.pk}/revoke")
    assert (call_api(text).status_code, call_api(text).json()) == (401, {"error": "token_invalid"})


@pytest.mark.parametrize("text", ["", "koppel_", "koppel_" + "x" * 43, "é", "a b"])
@pytest.mark.usefixtures("clean_database")
def test_a_made_up_token_is_refused(text: str) -> None:
    answer = call_api(text.encode().decode("latin-1"))
    assert (answer.status_code, answer.json()) == (401, {"error": "token_invalid"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_has_the_lesser_role_of_its_own_and_its_members(actor: Any) -> None:
    admin = actor("administrator")
    assert call_api(token_of(admin, role=Role.READER), "/api/v1/people").status_code == 403
    assert call_api(token_of(admin), "/api/v1/people").status_code == 200
    user = actor("user")
    assert call_api(token_of(user, role=Role.ADMINISTRATOR), "/api/v1/people").status_code == 403


def test_a_read_only_token_changes_nothing(actor: Any) -> None:
    answer = call_api(token_of(actor("administrator")), method="POST")
    assert (answer.status_code, answer.json()) == (403, {"error": "read_only"})
    assert call_api(token_of(actor("administrator"), read_only=False), method="POST").status_code == 405


def test_a_session_needs_a_csrf_token_to_change_something(actor: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(pk=actor("administrator").user_id))
    assert client.get(ME).json()["token"] is None
    assert client.post(ME).json() == {"error": "csrf"}


def test_a_token_opens_no_page(actor: Any) -> None:
    answer = call_api(token_of(actor("administrator")), "/organisation/people/")
    assert answer.status_code == 302
    assert "/accounts/login/" in answer.headers["Location"]


@pytest.mark.parametrize("end", ["deactivated", "expired", "token expired"])
def test_a_token_ends_with_its_owner(actor: Any, end: str) -> None:
    user = actor("user")
    text = token_of(user)
    assert call_api(text).status_code == 200
    with organisation_scope(user.organisation_id):
        membership = Membership.objects.filter(pk=user.membership_id)
        if end == "deactivated":
            membership.update(is_active=False)
        elif end == "expired":
            membership.update(expires_at=timezone.now())
        else:
            ApiToken.objects.update(expires_at=timezone.now())
    assert call_api(text).status_code == 401


def test_a_program_over_its_rate_limit_gets_429(actor: Any, settings: Any) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    text = token_of(actor("user"))
    statuses = [call_api(text).status_code for _ in range(8)]
    # The minute may turn once while we count.
    assert statuses[:3] == [200] * 3
    assert 429 in statuses
    refused = next(answer for _ in range(8) if (answer := call_api(text)).status_code == 429)
    assert refused.json()["error"] == "too_many_requests"
    assert f"{refused.headers['Retry-After']} second" in refused.json()["message"]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_only_people_managers_revoke_tokens_of_others(actor: Any) -> None:
    admin = actor("administrator")
    with organisation_scope(admin.organisation_id):
        firm = Membership.objects.get(pk=admin.membership_id).organisation
    user, other = actor("user", organisation=firm), actor("user", organisation=firm)
    text = token_of(user)
    with organisation_scope(admin.organisation_id):
        token_id = ApiToken.objects.get().pk
    client = Client()
    client.force_login(User.objects.get(pk=other.user_id))
    assert client.post(f"/account/tokens/{token_id}/revoke").status_code == 403
    assert call_api(text).status_code == 200
    with organisation_scope(admin.organisation_id):
        api_tokens.revoke_token(admin, token_id)
    assert call_api(text).status_code == 401


def test_the_audit_log_names_token_person_address_and_interface(actor: Any) -> None:
    admin = actor("administrator", name="Anna")
    acting = api_tokens.resolve_token_actor(token_of(admin, name="Nightly"), "203.0.113.7")
    with organisation_scope(admin.organisation_id):
        api_tokens.revoke_token(acting, ApiToken.objects.get().pk)
        entry = AuditEntry.objects.latest("pk")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("token", admin.user_id, "Anna (Nightly)")
    assert (entry.ip_address, entry.interface, entry.action) == ("203.0.113.7", "api", "token.revoked")
