"""Tokens of Visma Connect: RS256 access and id tokens, and refresh tokens.

The app's settings in the developer portal decide whether a refresh token is used once (with a grace period,
after which reuse revokes the family) or repeatedly. A refresh token contains its own claims and a signature,
so that it survives a restart of the sandbox. Only the newest generation of a family is kept in memory. An app
can also be set to refuse a refresh before a time: Visma Connect is not known to do that, but other vendors
are.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from koppel_sandbox.visma_net.seed_users import Client, User

KEY_ID = "sandbox-1"
TEXTS_MAX = 50_000
"""The number of token texts kept, for tests that search for leaked tokens."""


class OAuthError(Exception):
    """An OAuth error: `code` as in RFC 6749."""

    def __init__(self, code: str, description: str = "", status: int = 400) -> None:
        super().__init__(description or code)
        self.code, self.description, self.status = code, description or code, status


def is_same_text(first: str, second: str) -> bool:
    """Compare in constant time. `hmac.compare_digest` itself accepts only ASCII text."""
    return hmac.compare_digest(first.encode(), second.encode())


@dataclass(kw_only=True)
class AccessToken:
    """The claims of an access token. `tenant_id` None: reaches every company of the user."""

    client_id: str
    subject: str
    scope: str
    expires_at: float
    family: str
    tenant_id: str | None = None


@dataclass(kw_only=True)
class TokenFamily:
    """All tokens of one consent.

    `refreshes` counts granted refreshes, `refused_count` refused ones.
    """

    client_id: str = ""
    subject: str = ""
    tenant_id: str | None = None
    generation: int = 0
    replaced_at: float = 0.0
    issued_at: float = 0.0
    revoked: bool = False
    refreshes: int = 0
    refused_count: int = 0


@dataclass
class Counts:
    """Counts of the token endpoint since the start or the last reset. `refusals` is by OAuth error."""

    calls: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    too_early: int = 0
    within_grace: int = 0
    families_revoked_for_reuse: int = 0


class Tokens:
    def __init__(self, seed: int) -> None:
        self._private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._seal = hashlib.sha256(f"koppel-sandbox/{seed}".encode()).digest()
        self.access: dict[str, AccessToken] = {}
        self.families: dict[str, TokenFamily] = {}
        self.counts = Counts()
        self.texts: deque[str] = deque(maxlen=TEXTS_MAX)

    def jwks(self) -> dict[str, Any]:
        algorithm = jwt.algorithms.RSAAlgorithm
        key: dict[str, Any] = json.loads(algorithm.to_jwk(self._private.public_key()))
        return {"keys": [{**key, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._private, algorithm="RS256", headers={"kid": KEY_ID})

    def issue(
        self,
        issuer: str,
        client: Client,
        subject: str,
        scope: str,
        now: float,
        tenant_id: str | None,
        family: str,
    ) -> dict[str, Any]:
        """Return the token endpoint's response, without `id_token`."""
        ends = now + client.access_seconds
        claims: dict[str, Any] = {
            "iss": issuer,
            "aud": ["https://api.finance.visma.net/erp"],
            "client_id": client.client_id,
        }
        claims |= {"scope": scope.split(), "nbf": int(now), "exp": int(ends), "jti": secrets.token_hex(8)}
        claims |= ({"sub": subject} if subject else {}) | ({"tenant_id": tenant_id} if tenant_id else {})
        token = self.sign(claims)
        self.access[token] = AccessToken(
            client_id=client.client_id,
            subject=subject,
            scope=scope,
            expires_at=ends,
            family=family,
            tenant_id=tenant_id,
        )
        self.texts.append(token)
        response: dict[str, Any] = {
            "access_token": token,
            "expires_in": client.access_seconds,
            "token_type": "Bearer",
            "scope": scope,
        }
        state = self.families.setdefault(
            family, TokenFamily(client_id=client.client_id, subject=subject, tenant_id=tenant_id)
        )
        state.issued_at = now
        if "offline_access" in scope.split():
            facts = {
                "f": family,
                "g": state.generation,
                "c": client.client_id,
                "u": subject,
                "s": scope,
                "t": tenant_id,
            }
            response["refresh_token"] = self._pack({**facts, "i": now})
            self.texts.append(response["refresh_token"])
        return response

    def refresh(self, issuer: str, token: str, client: Client, now: float) -> dict[str, Any]:
        """Refresh a token.

        A one-time token is accepted again within the grace period; after it, reuse revokes the whole family.
        Raises `OAuthError`.
        """
        facts = self._unpack(token)
        if facts is None or facts["c"] != client.client_id:
            raise OAuthError("invalid_grant", "The refresh token is unknown.")
        unknown = TokenFamily(
            client_id=client.client_id,
            subject=facts["u"],
            tenant_id=facts["t"],
            generation=facts["g"],
            issued_at=facts["i"],
        )
        family = self.families.setdefault(facts["f"], unknown)
        try:
            self._redeem(facts, family, client, now)
        except OAuthError:
            family.refused_count += 1
            raise
        family.refreshes += 1
        response = self.issue(issuer, client, facts["u"], facts["s"], now, facts["t"], facts["f"])
        return response if client.rotating else {**response, "refresh_token": token}

    def _redeem(self, claims: dict[str, Any], family: TokenFamily, client: Client, now: float) -> None:
        if family.revoked or now > claims["i"] + client.refresh_days * 86_400:
            raise OAuthError("invalid_grant", "The refresh token has expired or was revoked.")
        if client.rotating and claims["g"] < family.generation:
            if now - family.replaced_at > client.grace_seconds or claims["g"] < family.generation - 1:
                self.counts.families_revoked_for_reuse += 1
                self.revoke(claims["f"])
                raise OAuthError("invalid_grant", "The refresh token was used before; its family is revoked.")
            self.counts.within_grace += 1
            return
        if now - family.issued_at < client.refresh_not_before_seconds:
            self.counts.too_early += 1
            raise OAuthError("invalid_request", "The access token has not expired yet.")
        if client.rotating:
            family.generation += 1
            family.replaced_at = now

    def forget(self) -> None:
        self.access.clear()
        self.families.clear()
        self.counts = Counts()
        self.texts.clear()

    def revoke(self, family: str) -> None:
        self.families.setdefault(family, TokenFamily()).revoked = True
        for token in [token for token, token_info in self.access.items() if token_info.family == family]:
            del self.access[token]

    def end_access(self, client_id: str, tenant_id: str) -> None:
        """Stop accepting access tokens of an app for a tenant."""
        for token in [
            text
            for text, access in self.access.items()
            if (access.client_id, access.tenant_id) == (client_id, tenant_id)
        ]:
            del self.access[token]

    def family_of(self, token: str) -> str | None:
        if access := self.access.get(token):
            return access.family
        claims = self._unpack(token)
        return claims["f"] if claims else None

    def id_token(self, issuer: str, client: Client, user: User, nonce: str, now: float) -> str:
        return self.sign(
            {
                "iss": issuer,
                "aud": client.client_id,
                "sub": user.subject,
                "nonce": nonce,
                "iat": int(now),
                "exp": int(now) + 300,
                "auth_time": int(now),
                "name": user.name,
                "email": user.email,
                "email_verified": True,
            }
        )

    def _pack(self, claims: dict[str, Any]) -> str:
        body = (
            base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode().rstrip("=")
        )
        return f"{body}.{self._signature(body)}"

    def _unpack(self, token: str) -> dict[str, Any] | None:
        body, _, signature = token.partition(".")
        if not is_same_text(signature, self._signature(body)):
            return None
        payload: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return payload

    def _signature(self, body: str) -> str:
        return hmac.new(self._seal, body.encode(), hashlib.sha256).hexdigest()[:32]
