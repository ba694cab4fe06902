"""An independent OAuth client (Authlib) signs in, refreshes, revokes and reads."""

import secrets
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.fixtures.stack import CLIENT_SECRET, CLIENTS, PATIENCE_SECONDS, Sandbox

REDIRECT_ADDRESS = "http://localhost:8400/connections/consent/callback"
SCOPE = "openid email profile tenants offline_access vismanet_erp_interactive_api:read"


@pytest.fixture
def metadata(sandbox: Sandbox) -> dict[str, Any]:
    return requests.get(f"{sandbox.url}/.well-known/openid-configuration", timeout=PATIENCE_SECONDS).json()  # type: ignore[no-any-return]


@pytest.fixture
def client(metadata: dict[str, Any]) -> Any:
    with OAuth2Session(
        CLIENTS["company_list"],
        CLIENT_SECRET,
        scope=SCOPE,
        redirect_uri=REDIRECT_ADDRESS,
        code_challenge_method="S256",
        token_endpoint_auth_method="client_secret_post",
        token_endpoint=metadata["token_endpoint"],
        revocation_endpoint_auth_method="client_secret_post",
    ) as session:
        yield session


def sign_in(client: Any, metadata: dict[str, Any], sandbox: Sandbox) -> dict[str, Any]:
    """Through the real forms; the tokens."""
    verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    url, state = client.create_authorization_url(
        metadata["authorization_endpoint"], code_verifier=verifier, nonce=nonce
    )
    answer = sandbox.sign_in(url)
    assert (answer["state"], answer["iss"]) == (state, metadata["issuer"])
    token = client.fetch_token(metadata["token_endpoint"], code=answer["code"], code_verifier=verifier)
    return {**token, "nonce": nonce}


def test_it_signs_in_by_discovery_and_trusts_what_is_signed(
    client: Any, metadata: dict[str, Any], sandbox: Sandbox
) -> None:
    token = sign_in(client, metadata, sandbox)
    keys = KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=PATIENCE_SECONDS).json())
    claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    assert (claims["iss"], claims["aud"], claims["nonce"]) == (
        metadata["issuer"],
        CLIENTS["company_list"],
        token["nonce"],
    )
    assert token["token_type"] == "Bearer"
    assert client.get(metadata["userinfo_endpoint"]).json()["sub"] == claims["sub"]


def test_it_lists_companies_and_reads_one(client: Any, metadata: dict[str, Any], sandbox: Sandbox) -> None:
    sign_in(client, metadata, sandbox)
    companies = client.get(f"{sandbox.url}/API/resources/v1/context").json()
    assert len(companies) == len(sandbox.companies())
    headers = {"ipp-company-id": str(companies[0]["id"]), "ipp-application-type": "Visma.net Financials"}
    for path in ("/v1/account", "/API/controller/api/v1/account", "/V1/ACCOUNT"):
        accounts = client.get(f"{sandbox.url}{path}", headers=headers).json()
        assert {"accountCD", "type", "description"} <= set(accounts[0]), path


def test_a_refresh_token_works_once_and_its_reuse_ends_the_family(
    client: Any, metadata: dict[str, Any], sandbox: Sandbox
) -> None:
    sandbox.client(CLIENTS["company_list"], grace_seconds=0)
    first = sign_in(client, metadata, sandbox)
    second = client.refresh_token(metadata["token_endpoint"], refresh_token=first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    for stale in (first["refresh_token"], second["refresh_token"]):
        answer = requests.post(
            metadata["token_endpoint"],
            data={
                "grant_type": "refresh_token",
                "refresh_token": stale,
                "client_id": CLIENTS["company_list"],
                "client_secret": CLIENT_SECRET,
            },
            timeout=PATIENCE_SECONDS,
        )
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


def test_a_revoked_token_opens_nothing(client: Any, metadata: dict[str, Any], sandbox: Sandbox) -> None:
    token = sign_in(client, metadata, sandbox)
    assert client.revoke_token(metadata["revocation_endpoint"], token["refresh_token"]).status_code == 200
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert (
        requests.get(
            f"{sandbox.url}/API/resources/v1/context", headers=headers, timeout=PATIENCE_SECONDS
        ).status_code
        == 401
    )
