"""Sign-in at Visma Connect: authorisation code with PKCE, one-time refresh tokens, revocation."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import msgspec

from koppel.connector.contract import AppCredentials, Consent, ConsentRequest, Http, Redirect, Tokens
from koppel.connector.errors import (
    ConnectorError,
    ConsentDenied,
    ConsentLost,
    ContractBroken,
    RateLimited,
    SetupMissing,
    Unreachable,
)
from koppel.connectors.visma_net.answers import RETRY_SECONDS_DEFAULT, seconds_of
from koppel.connectors.visma_net.descriptor import COMPANY_PER_SIGN_IN, SCOPES, SERVICE_SCOPES
from koppel.kit.clock import now
from koppel.kit.http import Response
from koppel.kit.secrets import Secret


class TokenAnswer(msgspec.Struct):
    """What the token endpoint answers."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the kind of token
    refresh_token: str | None = None
    id_token: str | None = None
    scope: str = ""


def begin(app: AppCredentials, request: ConsentRequest) -> Redirect:
    digest = hashlib.sha256(request.code_verifier.reveal().encode()).digest()
    asked = {
        "client_id": app.client_id,
        "scope": " ".join(SCOPES),
        "response_type": "code",
        "redirect_uri": request.redirect_uri,
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "ui_locales": request.language,
    }
    if request.force_sign_in or app.consent_mode == COMPANY_PER_SIGN_IN:
        asked["prompt"] = "select_account"
    return Redirect(f"{app.addresses['identity']}/connect/authorize?{urlencode(asked)}")


async def complete(http: Http, app: AppCredentials, request: ConsentRequest, inbound: Mapping[str, str]) -> Consent:
    """Raises `ConsentDenied`, `ContractBroken` for a callback that is not from this issuer, and the token errors."""
    if error := inbound.get("error"):
        sentence = "Access was not allowed." if error == "access_denied" else f"The sign-in was refused ({error[:60]})."
        raise ConsentDenied(error[:60], sentence)
    if inbound.get("iss", app.addresses["identity"]) != app.addresses["identity"]:
        raise ContractBroken("issuer", "The answer of the sign-in does not come from the expected address.")
    form = {
        "grant_type": "authorization_code",
        "code": inbound.get("code", ""),
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.code_verifier.reveal(),
    }
    answer = await _token(http, app, form)
    claims = await _verified(http, app, answer.id_token or "", audience=app.client_id)
    if claims.get("nonce") != request.nonce:
        raise ContractBroken("nonce", "The answer of the sign-in belongs to another sign-in.")
    company = None
    if app.consent_mode == COMPANY_PER_SIGN_IN:
        company = (await _verified(http, app, answer.access_token, audience=None)).get("tenant_id")
        if not company:
            raise SetupMissing(
                "no_tenant", "The sign-in names no company. The app must be enabled for tenants at Visma."
            )
    account = str(claims.get("email") or claims.get("name") or claims["sub"])
    return Consent(subject=str(claims["sub"]), account=account, tokens=_tokens(answer), company_id=company)


async def refresh(http: Http, app: AppCredentials, refresh_token: Secret) -> Tokens:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    return _tokens(await _token(http, app, form))


async def service_token(http: Http, app: AppCredentials, tenant_id: str) -> Tokens:
    """Client credentials for one tenant. There is no refresh token: when it expires, ask again.

    Both a company tenant and a customer tenant yield a token; with the latter the API answers 401."""
    form = {"grant_type": "client_credentials", "scope": " ".join(SERVICE_SCOPES), "tenant_id": tenant_id}
    try:
        return _tokens(await _token(http, app, form))
    except SetupMissing as refused:
        raise SetupMissing(
            refused.code,
            "Visma knows no such tenant, or its administrator has not approved Koppel in the Visma App Store.",
        ) from None


async def revoke(http: Http, app: AppCredentials, token: Secret) -> None:
    await http.send(
        "POST",
        f"{app.addresses['identity']}/connect/revocation",
        form={"token": token.reveal(), **_credentials(app)},
    )


def company_of(access_token: Secret) -> str | None:
    """`tenant_id` of an access token that came straight from the token endpoint, so its signature need not be checked."""
    try:
        claims = jwt.decode(access_token.reveal(), options={"verify_signature": False})
    except jwt.PyJWTError:
        return None
    return str(claims["tenant_id"]) if claims.get("tenant_id") else None


def _credentials(app: AppCredentials) -> dict[str, str]:
    return {"client_id": app.client_id, "client_secret": app.client_secret.reveal()}


async def _token(http: Http, app: AppCredentials, form: Mapping[str, str]) -> TokenAnswer:
    answer = await http.send("POST", f"{app.addresses['identity']}/connect/token", form={**form, **_credentials(app)})
    if answer.status != 200:
        raise _refusal(answer)
    try:
        return msgspec.json.decode(answer.body, type=TokenAnswer)
    except msgspec.DecodeError:
        raise Unreachable("token_answer", "Visma Connect answered without tokens.", retry_after_seconds=10) from None


A_PERSONS_JOB = {
    "invalid_grant": "The consent at Visma has expired or was withdrawn.",
    "invalid_client": "Visma Connect does not accept Koppel's client secret. It was probably changed.",
    "unauthorized_client": "Visma Connect does not allow this to Koppel's app registration.",
    "invalid_scope": "Visma Connect does not give Koppel's app registration the scopes it asks for.",
}


def _refusal(answer: Response) -> ConnectorError:
    """Token-endpoint errors: `invalid_grant` and what is wrong with the app are a person's job, a 429 or 5xx is not."""
    try:
        error = str(msgspec.json.decode(answer.body).get("error", ""))[:40]
    except (msgspec.DecodeError, AttributeError):
        error = ""
    if answer.status == 429:
        seconds = seconds_of(answer.headers.get("retry-after", ""))
        return RateLimited("token_quota", "Visma Connect asks Koppel to slow down.", retry_after_seconds=seconds)
    if answer.status >= 500 or not error:
        return Unreachable(
            f"token_{answer.status}", "Visma Connect does not answer.", retry_after_seconds=RETRY_SECONDS_DEFAULT
        )
    if error == "invalid_tenant":
        return SetupMissing(
            error,
            "This user has the role “API User” on no company. A new role takes 10 to 15 minutes to work.",
        )
    if sentence := A_PERSONS_JOB.get(error):
        return ConsentLost(error, sentence)
    return ContractBroken(f"token_{error}", f"Visma Connect did not understand Koppel's request ({error}).")


def _tokens(answer: TokenAnswer) -> Tokens:
    issued_at = now()
    return Tokens(
        access_token=Secret(answer.access_token),
        refresh_token=Secret(answer.refresh_token) if answer.refresh_token else None,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=answer.expires_in),
        scope=answer.scope,
    )


async def _verified(http: Http, app: AppCredentials, token: str, *, audience: str | None) -> dict[str, Any]:
    """The claims of a signed token after a check of signature, issuer, expiry and (if given) audience."""
    answer = await http.send("GET", f"{app.addresses['identity']}/.well-known/openid-configuration/jwks")
    try:
        keys = jwt.PyJWKSet.from_json(answer.body.decode())
        key = keys[jwt.get_unverified_header(token)["kid"]]
        return dict(
            jwt.decode(
                token, key, algorithms=["RS256"], audience=audience, issuer=app.addresses["identity"], leeway=60,
                options={"verify_aud": audience is not None, "require": ["exp", "iss"]},
            )
        )  # fmt: skip
    except (jwt.PyJWTError, KeyError, ValueError) as error:
        raise ContractBroken(
            "id_token", f"Visma Connect's signed answer cannot be trusted ({type(error).__name__})."
        ) from None
