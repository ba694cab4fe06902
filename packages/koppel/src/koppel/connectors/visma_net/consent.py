"""Sign-in at Visma Connect: authorisation code with PKCE, one-time refresh tokens, revocation.

Sentences are marked for translation here and translated where they are shown: a worker has no language.
"""

import base64
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from django.utils.translation import gettext_noop as _
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from koppel.connector.contract import AppCredentials, Consent, ConsentRequest, Http, Redirect, Tokens
from koppel.connector.errors import (
    ConnectorError,
    ConsentDenied,
    ConsentLost,
    RateLimited,
    SetupMissing,
    UnexpectedResponse,
    Unreachable,
)
from koppel.connectors.visma_net.client import RETRY_SECONDS_DEFAULT, json_object, pause_seconds
from koppel.connectors.visma_net.descriptor import (
    COMPANY_PER_SIGN_IN,
    READ_SCOPE,
    SCOPES,
    SERVICE,
    SERVICE_SCOPES,
)
from koppel.kit.clock import now
from koppel.kit.database.text import has_lone_surrogate
from koppel.kit.encryption import Secret
from koppel.kit.http.client import Response
from koppel.kit.http.retry_after import requested_pause

DENIED = _("The sign-in at Visma was refused, so nothing was connected. Please try again.")
DENIALS = {
    "access_denied": _("You did not allow access. Nothing was connected; you can start again at any time."),
    "invalid_scope": _(
        "The app at Visma lacks a scope that Koppel needs. An Administrator adds it in the Visma "
        "Developer Portal; then sign in again."
    ),
    "unauthorized_client": _(
        "The app at Visma is not set up for signing in. An Administrator can correct this at Visma."
    ),
    "server_error": _("Visma Connect has an outage. Please try again in a few minutes."),
    "temporarily_unavailable": _("Visma Connect is not available. Please try again in a few minutes."),
}
SLOW_DOWN = _("Visma Connect's call limit was reached.")
SILENT = _("Visma Connect is not responding properly. Koppel keeps trying; no data is lost.")
NO_ROLE = _(
    "This user has the role “API User” on no company. An administrator of the company gives it in Visma "
    "Admin; it takes"
    " 10 to 15 minutes to work. Then sign in again."
)
SCOPE_MISSING = _(
    "The consent lacks a permission (scope) that Koppel needs: to read, and to stay connected. "
    "An Administrator adds it to the"
    " app in the Visma Developer Portal; then sign in again."
)
SECRET_REFUSED = _(
    "Visma Connect does not accept Koppel's client secret: it was probably changed. "
    "An Administrator enters the new one under"
    " App registrations."
)
NOT_APPROVED = _(
    "Visma does not recognise this tenant, or its administrator has not approved Koppel in "
    "the Visma App Store."
)
REDIRECT_UNKNOWN = _(
    "Visma does not accept the redirect address of this app. Copy it from here into the app "
    "in the Visma Developer Portal."
)
CUSTOMER_TENANT = _(
    "This is the tenant id of the customer, not of the company. Use the one in Visma Admin → "
    "Company → Edit → Configuration → Tenant id."
)
UNTRUSTED = _("The signed answer of Visma Connect cannot be trusted.")
NAME_CHARACTERS_MAX = 200
"""Longer than any real id (GUIDs and addresses); a truncated id could equal another person's."""
TOKEN_SECONDS_MAX = 30 * 24 * 3600
"""The longest lifetime that a token is given, whatever the vendor states: dates end in the year 9999."""
NO_VERIFIER = "koppel-tests-this-app-and-grants-nothing-by-it"
CODE_USED = _("This sign-in has already been used or has expired. Please start again.")
TOKEN_ERRORS_FOR_PEOPLE = {
    "invalid_grant": _("The consent at Visma has expired or was withdrawn."),
    "invalid_client": SECRET_REFUSED,
    "unauthorized_client": _("Visma Connect does not allow this to Koppel's app registration."),
    "invalid_scope": SCOPE_MISSING,
}


class TokenResponse(msgspec.Struct):
    """The response of the token endpoint."""

    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - the kind of token
    refresh_token: str | None = None
    id_token: str | None = None
    scope: str = ""


def begin(app: AppCredentials, request: ConsentRequest) -> Redirect:
    digest = hashlib.sha256(request.code_verifier.reveal().encode()).digest()
    query = {
        "client_id": app.client_id,
        "scope": " ".join(SCOPES),
        "response_type": "code",
        "response_mode": "form_post",
        "redirect_uri": request.redirect_uri,
        "state": request.state,
        "nonce": request.nonce,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "ui_locales": request.language,
    }
    if request.force_sign_in or app.consent_mode == COMPANY_PER_SIGN_IN:
        query["prompt"] = "select_account"
    return Redirect(f"{app.base_urls['identity']}/connect/authorize?{urlencode(query)}")


async def complete(
    http: Http, app: AppCredentials, request: ConsentRequest, authorisation_response: Mapping[str, str]
) -> Consent:
    """Exchange the code of the authorisation response for a consent.

    Raises `ConsentDenied`, `UnexpectedResponse` for a response of another issuer, and the token errors.
    """
    await _require_own_issuer(http, app, authorisation_response)
    if error := authorisation_response.get("error"):
        raise ConsentDenied(error[:60], DENIALS.get(error, DENIED))
    form = {
        "grant_type": "authorization_code",
        "code": authorisation_response.get("code", ""),
        "redirect_uri": request.redirect_uri,
        "code_verifier": request.code_verifier.reveal(),
    }
    response = await _request_tokens(http, app, form)
    try:
        return await _parse_consent(http, app, request, response)
    except ConnectorError:
        # The token will not be used; if Visma cannot be reached now, it expires by itself.
        with suppress(ConnectorError):
            await revoke(http, app, Secret(response.refresh_token or response.access_token))
        raise


async def _parse_consent(
    http: Http, app: AppCredentials, request: ConsentRequest, response: TokenResponse
) -> Consent:
    claims = await _verify_token(http, app, response.id_token or "", audience=app.client_id)
    if claims.get("nonce") != request.nonce:
        raise UnexpectedResponse(
            "nonce", _("The answer of the sign-in belongs to another sign-in. Please start again.")
        )
    _require_refresh_token_and_scope(response)
    company = None
    if app.consent_mode == COMPANY_PER_SIGN_IN:
        company = _storable_claim(
            await _verify_token(http, app, response.access_token, audience=None), "tenant_id"
        )
        if not company:
            raise SetupMissing(
                "no_tenant", _("The sign-in names no company. The app must be enabled for tenants at Visma.")
            )
    subject = _storable_claim(claims, "sub")
    if not subject:
        raise UnexpectedResponse("id_token", UNTRUSTED)
    account = _storable_claim(claims, "email") or _storable_claim(claims, "name") or subject
    return Consent(subject=subject, account=account, tokens=_tokens(response), company_id=company)


def _storable_claim(claims: Mapping[str, Any], key: str) -> str:
    """Return a claim that names a person or a company; '' when it is missing or cannot be stored."""
    value = claims.get(key)
    text = value if isinstance(value, str) else ""
    is_storable = len(text) <= NAME_CHARACTERS_MAX and "\0" not in text and not has_lone_surrogate(text)
    return text if is_storable else ""


async def _require_own_issuer(
    http: Http, app: AppCredentials, authorisation_response: Mapping[str, str]
) -> None:
    """Raise `UnexpectedResponse` for a response of another issuer (RFC 9207).

    A response without issuer is refused too, if the vendor declares that all its responses state the issuer.
    """
    identity = app.base_urls["identity"]
    response = await http.send("GET", f"{identity}/.well-known/openid-configuration")
    if response.status == 429 or response.status >= 500:
        raise _error_of(response, is_code_exchange=False)
    discovery = json_object(response.body)
    if discovery.get("issuer") != identity:
        raise Unreachable("discovery", SILENT, retry_after_seconds=RETRY_SECONDS_DEFAULT)
    always_named = discovery.get("authorization_response_iss_parameter_supported") is True
    if authorisation_response.get("iss", "" if always_named else identity) != identity:
        raise UnexpectedResponse(
            "issuer", _("The answer of the sign-in does not come from Visma. Please start again.")
        )


def _require_refresh_token_and_scope(response: TokenResponse) -> None:
    """Raise `SetupMissing` for tokens without a refresh token or the scope to read.

    Such a connection would stop working within the hour.
    """
    granted = response.scope.split()
    if response.refresh_token is None or (granted and READ_SCOPE not in granted):
        raise SetupMissing("scope_missing", SCOPE_MISSING)


async def refresh(http: Http, app: AppCredentials, refresh_token: Secret) -> Tokens:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token.reveal()}
    return _tokens(await _request_tokens(http, app, form))


async def service_token(http: Http, app: AppCredentials, tenant_id: str) -> Tokens:
    """Request a token for one tenant with the app's credentials.

    There is no refresh token: request a new one when it expires. Both a company tenant and a customer tenant
    yield a token; the API refuses the latter with 401.
    """
    form = {"grant_type": "client_credentials", "scope": " ".join(SERVICE_SCOPES), "tenant_id": tenant_id}
    try:
        return _tokens(await _request_tokens(http, app, form))
    except SetupMissing as error:
        raise SetupMissing(error.code, NOT_APPROVED) from None


async def check(http: Http, app: AppCredentials, redirect_uri: str) -> None:
    """Check the app by requesting a token with a code or tenant that cannot exist.

    If only that is refused, the app's credentials are accepted. For modes with a sign-in, the authorise page
    is requested as a browser would; a redirect to the sign-in page means that Visma accepts the redirect
    address and the scopes. Visma does not publish the response to a wrong address; any other response counts
    as a refusal.
    """
    if app.consent_mode == SERVICE:
        await _require_known_app(
            http, app, {"grant_type": "client_credentials", "scope": " ".join(SERVICE_SCOPES)}
        )
        return
    form = {"grant_type": "authorization_code", "code": "koppel-tests-this-app", "redirect_uri": redirect_uri}
    await _require_known_app(http, app, {**form, "code_verifier": NO_VERIFIER})
    request = ConsentRequest(
        redirect_uri=redirect_uri,
        state="koppel-tests-this-app",
        nonce="koppel-tests-this-app",
        code_verifier=Secret(NO_VERIFIER),
    )
    url, _mark, query = begin(app, request).url.partition("?")
    response = await http.send("GET", url, params={**dict(parse_qsl(query)), "response_mode": "query"})
    if response.status >= 500:
        raise Unreachable(f"authorize_{response.status}", SILENT, retry_after_seconds=RETRY_SECONDS_DEFAULT)
    location = response.headers.get("location", "")
    error = dict(parse_qsl(urlsplit(location).query)).get("error", "")
    if error:
        raise SetupMissing(
            "scope_missing" if error == "invalid_scope" else error[:60], DENIALS.get(error, DENIED)
        )
    if not location or location.startswith(redirect_uri) or "/error" in urlsplit(location).path:
        raise SetupMissing("redirect_address", REDIRECT_UNKNOWN)


async def _require_known_app(http: Http, app: AppCredentials, form: Mapping[str, str]) -> None:
    """Return if the token endpoint accepts the app and refuses only the made-up code or tenant."""
    try:
        await _request_tokens(http, app, form)
    except (ConsentDenied, SetupMissing) as error:
        if error.code not in ("code_used", "invalid_tenant"):
            raise
    except UnexpectedResponse as error:
        if error.code != "token_invalid_request":
            raise


async def revoke(http: Http, app: AppCredentials, token: Secret) -> None:
    """Revoke a token.

    A token that is no longer valid is answered with 200 too (RFC 7009, 2.2), so any other status is a
    refusal.
    """
    response = await http.send(
        "POST",
        f"{app.base_urls['identity']}/connect/revocation",
        form={"token": token.reveal(), **_credentials(app)},
    )
    if response.status != 200:
        raise _error_of(response, is_code_exchange=False)


def company_of(access_token: Secret) -> str | None:
    """Return `tenant_id` of an access token.

    The token came straight from the token endpoint, so its signature is not checked.
    """
    try:
        claims = msgspec.json.decode(
            jws.extract_compact(access_token.reveal().encode()).payload, type=dict[str, Any]
        )
    except (JoseError, ValueError):
        return None
    return str(claims["tenant_id"]) if claims.get("tenant_id") else None


def _credentials(app: AppCredentials) -> dict[str, str]:
    return {"client_id": app.client_id, "client_secret": app.client_secret.reveal()}


async def _request_tokens(http: Http, app: AppCredentials, form: Mapping[str, str]) -> TokenResponse:
    response = await http.send(
        "POST", f"{app.base_urls['identity']}/connect/token", form={**form, **_credentials(app)}
    )
    if response.status != 200:
        raise _error_of(response, is_code_exchange=form["grant_type"] == "authorization_code")
    try:
        return msgspec.json.decode(response.body, type=TokenResponse)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreachable("token_response", SILENT, retry_after_seconds=10) from None


def _error_of(response: Response, *, is_code_exchange: bool) -> ConnectorError:
    """Return the contract's error for an error response of the token endpoint.

    `invalid_grant` and problems of the app need a person; 429, 5xx and HTML pages do not.
    """
    error = str(json_object(response.body).get("error", ""))[:40]
    if response.status == 429:
        return RateLimited("token_quota", SLOW_DOWN, retry_after_seconds=pause_seconds(response))
    if response.status >= 500 or not error:
        pause = requested_pause(response.headers) if response.status >= 500 else None
        return Unreachable(
            f"token_{response.status}",
            SILENT,
            retry_after_seconds=RETRY_SECONDS_DEFAULT,
            requested_pause_seconds=pause.seconds if pause else 0.0,
        )
    if error == "invalid_tenant":
        return SetupMissing(error, NO_ROLE)
    if error == "invalid_grant" and is_code_exchange:
        return ConsentDenied("code_used", CODE_USED)
    if message := TOKEN_ERRORS_FOR_PEOPLE.get(error):
        return ConsentLost(error, message)
    return UnexpectedResponse(f"token_{error}", _("Visma Connect did not understand Koppel's request."))


def _tokens(response: TokenResponse) -> Tokens:
    issued_at = now()
    return Tokens(
        access_token=Secret(response.access_token),
        refresh_token=Secret(response.refresh_token) if response.refresh_token else None,
        issued_at=issued_at,
        expires_at=issued_at + timedelta(seconds=min(max(response.expires_in, 0), TOKEN_SECONDS_MAX)),
        scope=response.scope,
    )


async def _verify_token(
    http: Http, app: AppCredentials, token: str, *, audience: str | None
) -> dict[str, Any]:
    """Return the claims of a signed token.

    Checks signature, issuer, expiry and, if given, audience.
    """
    response = await http.send("GET", f"{app.base_urls['identity']}/.well-known/openid-configuration/jwks")
    try:
        keys = KeySet.import_key_set(msgspec.json.decode(response.body))
        header_rules = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        claims = jwt.decode(token, keys, registry=header_rules).claims
        _claims_registry(app.base_urls["identity"], audience).validate(claims)
        return claims
    except (JoseError, LookupError, ValueError, TypeError, AttributeError):
        raise UnexpectedResponse("id_token", UNTRUSTED) from None


def _claims_registry(issuer: str, audience: str | None) -> JWTClaimsRegistry:
    required = {"exp": ClaimsOption(essential=True), "iss": ClaimsOption(essential=True, value=issuer)}
    if audience is not None:
        required["aud"] = ClaimsOption(essential=True, value=audience)
    return JWTClaimsRegistry(None, 60, **required)
