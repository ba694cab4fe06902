"""The sandbox's token endpoint, called by an independent client."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, PATIENCE_SECONDS, SANDBOX_USER, Sandbox

CLIENT, SERVICE = CLIENTS["company_list"], CLIENTS["service"]


def request_token(
    sandbox: Sandbox, client_id: str = CLIENT, *, secret: str = CLIENT_SECRET, **form: str
) -> tuple[int, dict[str, Any]]:
    """Status and decoded answer of the token endpoint."""
    body = urlencode({**form, "client_id": client_id, "client_secret": secret}).encode()
    try:
        with urlopen(Request(f"{sandbox.url}/connect/token", body), timeout=PATIENCE_SECONDS) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refusal:
        with refusal:
            return refusal.code, json.load(refusal)


def refresh(sandbox: Sandbox, token: str) -> tuple[int, dict[str, Any]]:
    return request_token(sandbox, grant_type="refresh_token", refresh_token=token)


def first_token(sandbox: Sandbox) -> str:
    return str(sandbox.control("grants", {"client_id": CLIENT})["grants"][0]["refresh_token"])


def test_a_one_time_token_works_again_only_within_the_grace_period_then_its_family_dies(
    sandbox: Sandbox,
) -> None:
    sandbox.client(CLIENT, grace_seconds=3600)
    first = first_token(sandbox)
    second = refresh(sandbox, first)[1]["refresh_token"]
    assert second != first
    assert refresh(sandbox, first)[0] == 200
    sandbox.control("clock", {"advance_seconds": 3601})
    assert (refresh(sandbox, first)[0], refresh(sandbox, first)[1]["error"]) == (400, "invalid_grant")
    assert refresh(sandbox, second)[1]["error"] == "invalid_grant", (
        "The newest token of a revoked family still works."
    )
    assert sandbox.control("tokens")["families_revoked_for_reuse"] == 1


def test_a_reusable_token_comes_back_unchanged(sandbox: Sandbox) -> None:
    sandbox.client(CLIENT, rotating=False, grace_seconds=0)
    first = first_token(sandbox)
    assert [refresh(sandbox, first)[1]["refresh_token"] for _each in range(3)] == [first] * 3


def test_a_refresh_before_its_time_is_refused_and_costs_nothing(sandbox: Sandbox) -> None:
    sandbox.client(CLIENT, access_seconds=600, refresh_not_before_seconds=570)
    first = first_token(sandbox)
    assert refresh(sandbox, first)[1]["error"] == "invalid_request"
    sandbox.control("clock", {"advance_seconds": 571})
    assert refresh(sandbox, first)[0] == 200
    assert sandbox.control("tokens")["too_early"] == 1


def test_a_service_app_gets_tokens_for_companies_that_approved_it(sandbox: Sandbox) -> None:
    first_tenant, other = (company["tenant_id"] for company in sandbox.companies()[:2])
    form = {"grant_type": "client_credentials", "scope": "vismanet_erp_service_api:read"}
    status, answer = request_token(sandbox, SERVICE, tenant_id=first_tenant, **form)
    assert (status, "refresh_token" in answer) == (200, False)
    sandbox.control("approvals", {"client_id": SERVICE, "tenant_id": first_tenant, "approved": False})
    assert request_token(sandbox, SERVICE, tenant_id=first_tenant, **form)[1]["error"] == "invalid_tenant"
    assert request_token(sandbox, SERVICE, tenant_id=other, **form)[0] == 200


def test_a_user_withdraws_one_consent_at_the_vendor(sandbox: Sandbox) -> None:
    grants = sandbox.control("grants", {"client_id": CLIENT, "count": 2})["grants"]
    assert sandbox.control("revoke", {"family": grants[0]["family"]}) == {"revoked": 1}
    assert refresh(sandbox, grants[0]["refresh_token"])[1]["error"] == "invalid_grant"
    assert refresh(sandbox, grants[1]["refresh_token"])[0] == 200


@pytest.mark.parametrize("secret", ["é", "\U0001f511"])
def test_a_secret_with_letters_that_are_not_ascii_is_wrong(sandbox: Sandbox, secret: str) -> None:
    status, answer = request_token(sandbox, SERVICE, secret=secret, grant_type="client_credentials")
    assert (status, answer["error"]) == (401, "invalid_client")
    body = first_token(sandbox).partition(".")[0]
    status, answer = refresh(sandbox, f"{body}.{secret}")
    assert (status, answer["error"]) == (400, "invalid_grant")


def test_a_password_with_letters_that_are_not_ascii_is_wrong(sandbox: Sandbox) -> None:
    query = {
        "client_id": CLIENT,
        "response_type": "code",
        "scope": "openid",
        "redirect_uri": "http://localhost/connections/consent/callback",
    }
    with urlopen(f"{sandbox.url}/connect/authorize?{urlencode(query)}", timeout=PATIENCE_SECONDS) as page:
        request_id = parse_qs(urlsplit(page.url).query)["request"][0]
    form = urlencode({"request": request_id, "username": SANDBOX_USER, "password": "é"}).encode()
    with pytest.raises(HTTPError) as refusal:
        urlopen(Request(f"{sandbox.url}/account/login", form), timeout=PATIENCE_SECONDS)
    with refusal.value as answer:
        assert answer.code == 401
        assert "User name or password is wrong." in answer.read().decode()
