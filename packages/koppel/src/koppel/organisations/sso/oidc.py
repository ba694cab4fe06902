"""OpenID Connect with an organisation's identity provider: discovery, authorization request, token request,
ID token.

The flow is the authorization code flow with PKCE, state and nonce. The signature, issuer, audience, times and
nonce of an ID token are always verified (OpenID Connect Core 1.0, 3.1.3.7), also for tokens that the token
endpoint returned.

joserfc parses keys and tokens and verifies signatures and claims. HTTP goes through `kit.http`, which refuses
quarantined and transactional calls; see decision 20 in docs/decisions.
"""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, Key, import_key
from joserfc.jws import JWSRegistry
from joserfc.jwt import ClaimsOption, JWTClaimsRegistry

from koppel.kit.database.text import clean_text, has_lone_surrogate
from koppel.kit.encryption import Secret
from koppel.kit.http.client import NOT_ALLOWED, HttpClient, NetworkFailure, Response, origin_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384")
CLOCK_SKEW_SECONDS = 60
ATTEMPT_SECONDS = 30 * 60
SUBJECT_CHARACTERS_MAX = 255
DOCUMENT_BYTES_MAX = 512 * 1024
"""For each response of a provider. Published metadata and key sets have a few kilobytes."""
INVALID_CODE = "koppel-asks-whether-its-secret-is-known"


class _HeaderRegistry(JWSRegistry):
    """Allows headers of 8 kB: some providers send their certificates in them. joserfc's own limit is 512
    bytes.
    """

    max_header_length = 8 * 1024


class ProviderRefused(Exception):
    """The identity provider, or its response, cannot be trusted. `code` is the key of a message."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code} {detail}".strip())
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Client:
    """Koppel as a client of the provider."""

    issuer: str
    client_id: str
    client_secret: Secret
    redirect_uri: str


@dataclass(frozen=True)
class Endpoints:
    issuer: str
    authorization: str
    token: str
    keys: str
    names_itself: bool
    """The provider says that each of its responses carries `iss` (RFC 9207)."""


@dataclass(frozen=True)
class LoginAttempt:
    """The state of a sign-in, kept in the session.

    It is bound to the provider and its issuer at that time: a response of another one is refused.
    """

    provider_id: int
    issuer: str
    state: str
    nonce: str
    verifier: str
    begun_at: float
    requires_auth_time: bool = False
    """The sign-in serves re-authentication: the ID token must say that it happened during this attempt."""
    is_repeated: bool = False
    """The person is signed in through this provider, and must prove their identity to it once more."""

    @classmethod
    def new(
        cls, provider_id: int, issuer: str, *, is_repeated: bool = False, requires_auth_time: bool = False
    ) -> "LoginAttempt":
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(
            provider_id=provider_id,
            issuer=issuer,
            state=state,
            nonce=nonce,
            verifier=verifier,
            begun_at=time.time(),
            requires_auth_time=requires_auth_time,
            is_repeated=is_repeated,
        )

    @property
    def has_lapsed(self) -> bool:
        return not 0 <= time.time() - self.begun_at <= ATTEMPT_SECONDS


@dataclass(frozen=True)
class AuthorisationResponse:
    """The parameters with which the provider sent the person back. `issuer` None: not sent."""

    code: str
    issuer: str | None


@dataclass(frozen=True, kw_only=True)
class TokenIdentity:
    """The person that a provider authenticated. `subject` lasts; `email` is '' unless the provider calls it
    verified.
    """

    subject: str
    email: str
    name: str
    auth_time: float | None = None
    """When the person signed in at the provider, in seconds since the epoch; None: not sent."""


class ProviderMetadata:
    """What a provider publishes: its endpoints, and its keys, which are fetched when a token needs them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self.endpoints = endpoints
        self._key_set: Any = None

    async def verify(self, http: HttpClient, id_token: str, client_id: str, nonce: str) -> TokenIdentity:
        """Return the identity that a token proves. A token that fits no stored key has the keys fetched
        again, because providers replace them. Raises `ProviderRefused`.
        """
        endpoints, stored_key_set = self.endpoints, self._key_set
        if stored_key_set is not None:
            try:
                return verify_id_token(id_token, stored_key_set, endpoints.issuer, client_id, nonce)
            except ProviderRefused as refusal:
                if refusal.code != "token_refused":
                    raise
        key_set = _json(await _send(http, "GET", endpoints.keys, {origin_of(endpoints.keys)}), "no_keys")
        identity = verify_id_token(id_token, key_set, endpoints.issuer, client_id, nonce)
        self._key_set = key_set
        return identity


async def fetch_metadata(http: HttpClient, issuer: str) -> ProviderMetadata:
    """Fetch the provider's metadata. Raises `ProviderRefused`."""
    return ProviderMetadata(await discover(http, issuer))


async def discover(http: HttpClient, issuer: str) -> Endpoints:
    """Fetch the provider's metadata. Raises `ProviderRefused` when it is unreachable or has another
    issuer.
    """
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    metadata = _json(await _send(http, "GET", url, {origin_of(url)}), "no_discovery")
    try:
        names_itself = metadata.get("authorization_response_iss_parameter_supported") is True
        endpoints = Endpoints(
            issuer=metadata["issuer"],
            authorization=metadata["authorization_endpoint"],
            token=metadata["token_endpoint"],
            keys=metadata["jwks_uri"],
            names_itself=names_itself,
        )
        for address in (endpoints.authorization, endpoints.token, endpoints.keys):
            origin_of(address)
        reported_issuer = endpoints.issuer.rstrip("/")
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProviderRefused("no_discovery") from None
    if reported_issuer != issuer.rstrip("/"):
        raise ProviderRefused("other_issuer")
    issuer_scheme = urlsplit(issuer).scheme
    if any(
        urlsplit(address).scheme not in ("https", issuer_scheme)
        for address in (endpoints.authorization, endpoints.token, endpoints.keys)
    ):
        raise ProviderRefused("not_encrypted")
    return endpoints


def authorization_url(endpoints: Endpoints, client: Client, attempt: LoginAttempt) -> str:
    """Return the address at which the person signs in."""
    challenge = (
        base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
    )
    params = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": client.redirect_uri,
        "scope": "openid email profile",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **({"prompt": "login"} if attempt.is_repeated else {}),
        **({"max_age": "0"} if attempt.requires_auth_time else {}),
    }
    separator = "&" if "?" in endpoints.authorization else "?"
    return endpoints.authorization + separator + urlencode(params)


async def exchange_code(
    http: HttpClient,
    client: Client,
    attempt: LoginAttempt,
    response: AuthorisationResponse,
    metadata: ProviderMetadata,
) -> TokenIdentity:
    """Exchange the code and verify the ID token. Raises `ProviderRefused`, before the code is sent when
    another provider answered.
    """
    refuse_other_issuer(metadata.endpoints, response)
    tokens = await _request_tokens(http, metadata.endpoints, client, response.code, attempt.verifier)
    tokens = _json(tokens, "code_refused")
    if not isinstance(tokens, dict) or not isinstance(tokens.get("id_token"), str):
        raise ProviderRefused("no_id_token")
    identity = await metadata.verify(http, tokens["id_token"], client.client_id, attempt.nonce)
    refuse_old_sign_in(attempt, identity)
    return identity


def refuse_old_sign_in(attempt: LoginAttempt, identity: TokenIdentity) -> None:
    """Refuse a token that cannot serve re-authentication. Raises `ProviderRefused` when it does not say when
    the person signed in at the provider (`auth_time`), or names a time before the attempt.
    """
    if not attempt.requires_auth_time:
        return
    if identity.auth_time is None:
        raise ProviderRefused("no_auth_time")
    if identity.auth_time < attempt.begun_at - CLOCK_SKEW_SECONDS:
        raise ProviderRefused("old_sign_in")


def refuse_other_issuer(endpoints: Endpoints, response: AuthorisationResponse) -> None:
    """Refuse a mix-up of two providers (RFC 9207).

    Raises `ProviderRefused` for a response that names another issuer, or none where the provider announces
    it.
    """
    if response.issuer is None and endpoints.names_itself:
        raise ProviderRefused("issuer_missing")
    if response.issuer is not None and response.issuer != endpoints.issuer:
        raise ProviderRefused("other_provider")


async def verify_client(http: HttpClient, client: Client) -> None:
    """Check discovery, keys and client secret without a person. Raises `ProviderRefused`.

    It sends an impossible code: the provider refuses the code when it knows the secret, and the client
    (`invalid_client`) when it does not.
    """
    endpoints = await discover(http, client.issuer)
    keys = _json(await _send(http, "GET", endpoints.keys, {origin_of(endpoints.keys)}), "no_keys")
    if not isinstance(keys, dict) or not keys.get("keys"):
        raise ProviderRefused("no_keys")
    response = await _request_tokens(http, endpoints, client, INVALID_CODE, secrets.token_urlsafe(32))
    try:
        error = json.loads(response.body).get("error")
    except (ValueError, AttributeError):
        error = None
    if response.status == 401 or error in ("invalid_client", "unauthorized_client"):
        raise ProviderRefused("client_unknown")
    if error != "invalid_grant":
        raise ProviderRefused("invalid_response")


def verify_id_token(id_token: str, key_set: Any, issuer: str, client_id: str, nonce: str) -> TokenIdentity:
    """Return the identity that a token proves. `key_set` is the parsed JWKS document. Raises
    `ProviderRefused`.
    """
    try:
        registry = _HeaderRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        claims = jwt.decode(id_token, lambda token: _signing_key(token, key_set), registry=registry).claims
        _claims_registry(issuer, client_id).validate(claims)
    except (JoseError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise ProviderRefused("token_refused", type(error).__name__) from None
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(errors="replace"), nonce.encode()):
        raise ProviderRefused("other_nonce")
    has_several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if has_several else client_id) != client_id:
        raise ProviderRefused("token_refused", "azp")
    subject = claims["sub"]
    if len(subject) > SUBJECT_CHARACTERS_MAX or "\0" in subject or has_lone_surrogate(subject):
        # A subject that is shortened, or changed in another way, could be another person's.
        raise ProviderRefused("token_refused", "sub")
    is_verified = claims.get("email_verified") is True
    email = str(claims.get("email", "")) if is_verified else ""
    name = " ".join(clean_text(str(claims.get("name", ""))).split())
    return TokenIdentity(
        subject=subject, email=clean_text(email), name=name, auth_time=_auth_time(claims.get("auth_time"))
    )


def _auth_time(value: Any) -> float | None:
    """Return the claim in seconds since the epoch; None for what is no time of the past."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value <= time.time() + CLOCK_SKEW_SECONDS else None


def _claims_registry(issuer: str, client_id: str) -> JWTClaimsRegistry:
    required = ClaimsOption(essential=True)
    return JWTClaimsRegistry(
        leeway=CLOCK_SKEW_SECONDS,
        iss=ClaimsOption(essential=True, value=issuer),
        aud=ClaimsOption(essential=True, value=client_id),
        sub=required,
        exp=required,
        iat=required,
    )


def _signing_key(token: GuestProtocol, key_set: Any) -> Key:
    """Return the provider's key that the token's header names. Raises `LookupError` unless exactly one
    matches.

    A header without `kid` is accepted if there is one key (OpenID Connect Core 1.0, 10.1). Only the matching
    key is parsed, so unknown or broken keys, or thousands of them, do no harm.
    """
    kid = token.headers().get("kid")
    candidates = [
        key for key in key_set["keys"] if key.get("use", "sig") == "sig" and key.get("kty") in ("RSA", "EC")
    ]
    matches = [key for key in candidates if kid is None or key.get("kid") == kid]
    if len(matches) != 1:
        raise LookupError
    return import_key(matches[0])


async def _request_tokens(
    http: HttpClient, endpoints: Endpoints, client: Client, code: str, verifier: str
) -> Response:
    pair = f"{quote(client.client_id, safe='')}:{quote(client.client_secret.reveal(), safe='')}"
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": client.redirect_uri,
        "code_verifier": verifier,
    }
    headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return await _send(
        http, "POST", endpoints.token, {origin_of(endpoints.token)}, form=form, headers=headers
    )


async def _send(http: HttpClient, method: str, url: str, origins: set[str], **more: Any) -> Response:
    try:
        return await http.send(method, url, allowed_origins=origins, **more)
    except (NetworkFailure, ValueError) as failure:
        is_refused = isinstance(failure, NetworkFailure) and failure.code == NOT_ALLOWED
        raise ProviderRefused(NOT_ALLOWED if is_refused else "unreachable", str(failure)) from None


def _json(response: Response, code: str) -> Any:
    if response.status != 200:
        raise ProviderRefused(code)
    try:
        return json.loads(response.body)
    except ValueError:
        raise ProviderRefused(code) from None
