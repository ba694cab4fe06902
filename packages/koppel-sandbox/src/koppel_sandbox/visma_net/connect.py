"""Visma Connect: all endpoints of an OpenID provider, and its pages.

Discovery, authorize, sign-in, company selector, consent, token, revocation, introspection, userinfo and JWKS.
The consent page is shown at every authorisation, not only at an app's first use, so that Allow and Cancel can
be tried.
"""

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from aiohttp import web

from koppel_sandbox.clock import Clock
from koppel_sandbox.company import Company
from koppel_sandbox.visma_net import forms
from koppel_sandbox.visma_net.seed_users import PASSWORD, Client, User, clients, users
from koppel_sandbox.visma_net.tokens import OAuthError, Tokens, is_same_text

COOKIE = "sandbox_session"
CODE_SECONDS = 300
REDIRECT_PATH = "/connections/consent/callback"


@dataclass(kw_only=True)
class Authorisation:
    """One authorisation, from the request to the exchange of its code."""

    client: Client
    redirect_uri: str
    scope: str
    state: str
    nonce: str
    challenge: str
    response_mode: str
    prompt: str
    user: User | None = None
    tenant_id: str | None = None
    expires_at: float = 0.0
    is_used: bool = False
    family: str = ""


@dataclass(kw_only=True)
class Connect:
    clock: Clock
    tokens: Tokens
    companies: list[Company]
    redirect_uris: list[str] = field(default_factory=list)
    clients: dict[str, Client] = field(default_factory=clients)
    users: dict[str, User] = field(default_factory=users)
    requests: dict[str, Authorisation] = field(default_factory=dict)
    codes: dict[str, Authorisation] = field(default_factory=dict)
    sessions: dict[str, User] = field(default_factory=dict)
    names_issuer: bool = True
    """Whether the metadata declares `iss` in authorisation responses."""
    strict_redirects: bool = False

    def __post_init__(self) -> None:
        self._position_by_id = {company.id: position for position, company in enumerate(self.companies)}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self.discovery),
            web.get("/.well-known/oauth-authorization-server", self.discovery),
            web.get("/.well-known/openid-configuration/jwks", self.jwks),
            web.get("/connect/authorize", self.authorize),
            web.get("/account/login", self.login_page),
            web.post("/account/login", self.login),
            web.post("/account/context", self.choose_company),
            web.post("/consent", self.consent),
            web.post("/connect/token", self.token),
            web.post("/connect/revocation", self.revoke),
            web.post("/connect/introspect", self.introspect),
            web.get("/connect/userinfo", self.userinfo),
            web.get("/connect/endsession", self.end_session),
        ]

    def reset(self) -> None:
        """Reset people and apps, and delete every consent."""
        self.clients, self.users = clients(), users()
        self.names_issuer, self.strict_redirects = True, False
        self.tokens.forget()
        for store in (self.requests, self.codes, self.sessions):
            store.clear()

    def companies_of(self, user: User) -> list[Company]:
        """Return the companies where the user has the API User role now; closed companies excluded."""
        reach = user.reach_at(self.clock.seconds())
        return [company for company in self.companies[:reach] if not company.closed]

    def can_reach(self, user: User, company: Company) -> bool:
        """Return whether the user reaches one company, as `companies_of`; checked at every call."""
        reach = user.reach_at(self.clock.seconds())
        return not company.closed and (reach is None or self._position_by_id[company.id] < reach)

    def user_of(self, subject: str) -> User | None:
        return next((user for user in self.users.values() if user.subject == subject), None)

    async def discovery(self, request: web.Request) -> web.Response:
        issuer = _issuer(request)
        endpoints = ("authorize", "token", "userinfo", "endsession", "revocation", "introspect")
        names = ("authorization", "token", "userinfo", "end_session", "revocation", "introspection")
        document: dict[str, Any] = {
            f"{name}_endpoint": f"{issuer}/connect/{endpoint}"
            for name, endpoint in zip(names, endpoints, strict=True)
        }
        return web.json_response(
            {
                "issuer": issuer,
                **document,
                "jwks_uri": f"{issuer}/.well-known/openid-configuration/jwks",
                "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
                "response_types_supported": ["code"],
                "response_modes_supported": ["form_post", "query"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["plain", "S256"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "subject_types_supported": ["public"],
                "authorization_response_iss_parameter_supported": self.names_issuer,
            }
        )

    async def jwks(self, _request: web.Request) -> web.Response:
        return web.json_response(self.tokens.jwks())

    async def authorize(self, request: web.Request) -> web.Response:
        query = request.query
        client = self.clients.get(query.get("client_id", ""))
        redirect_uri = query.get("redirect_uri", "")
        if client is None or client.mode == "service":
            return forms.page(
                "Unknown application", "<p>This client id is not registered for sign-in.</p>", 400
            )
        if not self._is_registered(client, redirect_uri):
            return forms.page(
                "Wrong redirect address", "<p>The redirect address is not registered for this app.</p>", 400
            )
        authorisation = Authorisation(
            client=client,
            redirect_uri=redirect_uri,
            scope=query.get("scope", ""),
            state=query.get("state", ""),
            nonce=query.get("nonce", ""),
            challenge=query.get("code_challenge", ""),
            response_mode=query.get("response_mode", "query"),
            prompt=query.get("prompt", ""),
        )
        if query.get("response_type") != "code":
            return self._redirect_back(request, authorisation, error="unsupported_response_type")
        if authorisation.challenge and query.get("code_challenge_method") != "S256":
            return self._redirect_back(request, authorisation, error="invalid_request")
        if client.scopes is not None and not set(authorisation.scope.split()) <= set(client.scopes):
            return self._redirect_back(request, authorisation, error="invalid_scope")
        request_id = secrets.token_urlsafe(16)
        self.requests[request_id] = authorisation
        user = self.sessions.get(request.cookies.get(COOKIE, ""))
        if user is None or authorisation.prompt in ("login", "select_account"):
            raise web.HTTPFound(f"/account/login?request={request_id}")
        authorisation.user = user
        return self._after_sign_in(request_id, authorisation)

    async def login_page(self, request: web.Request) -> web.Response:
        request_id = request.query.get("request", "")
        if request_id not in self.requests:
            return _ended_page()
        return forms.sign_in(request_id, "")

    async def login(self, request: web.Request) -> web.Response:
        form = await request.post()
        request_id, email = str(form.get("request", "")), str(form.get("username", "")).strip().lower()
        pending = self.requests.get(request_id)
        if pending is None:
            return _ended_page()
        user = self.users.get(email)
        if user is None or not is_same_text(str(form.get("password", "")), PASSWORD):
            return forms.sign_in(request_id, email, "User name or password is wrong.")
        pending.user = user
        response = self._after_sign_in(request_id, pending)
        session = secrets.token_urlsafe(16)
        self.sessions[session] = user
        response.set_cookie(COOKIE, session, httponly=True, samesite="Lax")
        return response

    async def choose_company(self, request: web.Request) -> web.Response:
        form = await request.post()
        request_id, tenant = str(form.get("request", "")), str(form.get("tenant", ""))
        pending = self.requests.get(request_id)
        if pending is None or pending.user is None:
            return _ended_page()
        if tenant not in {company.tenant_id for company in self.companies_of(pending.user)}:
            return forms.page("Not available", "<p>This company is not available to you.</p>", 403)
        pending.tenant_id = tenant
        return self._consent_page(request_id, pending)

    async def consent(self, request: web.Request) -> web.Response:
        form = await request.post()
        pending = self.requests.pop(str(form.get("request", "")), None)
        if pending is None or pending.user is None:
            return _ended_page()
        if form.get("answer") != "allow":
            return self._redirect_back(request, pending, error="access_denied")
        code = secrets.token_urlsafe(24)
        pending.expires_at = self.clock.seconds() + CODE_SECONDS
        pending.family = secrets.token_hex(12)
        self.codes[code] = pending
        return self._redirect_back(request, pending, code=code, scope=pending.scope)

    async def token(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        try:
            client = self._client_of(request, form)
            grants = {
                "authorization_code": self._exchange_code,
                "refresh_token": self._refresh_tokens,
                "client_credentials": self._issue_service_token,
            }
            grant = grants.get(form.get("grant_type", ""))
            if grant is None:
                raise OAuthError("unsupported_grant_type")
            self.tokens.counts.calls[form["grant_type"]] += 1
            response = grant(_issuer(request), client, form)
        except OAuthError as refusal:
            self.tokens.counts.refusals[refusal.code] += 1
            body = {"error": refusal.code, "error_description": refusal.description}
            return web.json_response(body, status=refusal.status, headers={"Cache-Control": "no-store"})
        await asyncio.sleep(client.token_seconds)
        return web.json_response(response, headers={"Cache-Control": "no-store"})

    async def revoke(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        try:
            self._client_of(request, form)
        except OAuthError as refusal:
            return web.json_response({"error": refusal.code}, status=refusal.status)
        if family := self.tokens.family_of(form.get("token", "")):
            self.tokens.revoke(family)
        return web.Response()

    async def introspect(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        try:
            self._client_of(request, form)
        except OAuthError as refusal:
            return web.json_response({"error": refusal.code}, status=refusal.status)
        grant = self.tokens.access.get(form.get("token", ""))
        active = grant is not None and grant.expires_at > self.clock.seconds()
        facts = (
            {"client_id": grant.client_id, "scope": grant.scope, "exp": int(grant.expires_at)}
            if grant and active
            else {}
        )
        return web.json_response({"active": active, **facts})

    async def userinfo(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        grant = self.tokens.access.get(token)
        user = self.user_of(grant.subject) if grant and grant.expires_at > self.clock.seconds() else None
        if user is None:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return web.json_response(
            {"sub": user.subject, "name": user.name, "email": user.email, "email_verified": True}
        )

    async def end_session(self, request: web.Request) -> web.Response:
        self.sessions.pop(request.cookies.get(COOKIE, ""), None)
        response = forms.page("Signed out", "<p>You are signed out.</p>")
        response.del_cookie(COOKIE)
        return response

    def _after_sign_in(self, request_id: str, pending: Authorisation) -> web.Response:
        if pending.client.mode != "company_per_sign_in" or pending.user is None:
            return self._consent_page(request_id, pending)
        reached = self.companies_of(pending.user)
        if len(reached) > 1:
            return forms.selector(request_id, [(company.tenant_id, company.name) for company in reached])
        pending.tenant_id = reached[0].tenant_id if reached else None
        return self._consent_page(request_id, pending)

    def _consent_page(self, request_id: str, pending: Authorisation) -> web.Response:
        user = pending.user.email if pending.user else ""
        return forms.consent(request_id, pending.client.name, user, pending.scope.split())

    def _redirect_back(self, request: web.Request, pending: Authorisation, **parameters: str) -> web.Response:
        fields = {**parameters, "state": pending.state}
        if pending.client.names_issuer:
            fields["iss"] = _issuer(request)
        if pending.response_mode == "form_post":
            return forms.post_back(pending.redirect_uri, fields)
        joint = "&" if urlsplit(pending.redirect_uri).query else "?"
        raise web.HTTPFound(f"{pending.redirect_uri}{joint}{urlencode(fields)}")

    def _is_registered(self, client: Client, redirect_uri: str) -> bool:
        """Return whether the redirect address is acceptable.

        It must be registered, or, unless `strict_redirects`, Koppel's redirect address on this machine.
        """
        if redirect_uri in (*client.redirect_uris, *self.redirect_uris) or self.strict_redirects:
            return redirect_uri in (*client.redirect_uris, *self.redirect_uris)
        parts = urlsplit(redirect_uri)
        return parts.hostname in ("localhost", "127.0.0.1") and parts.path == REDIRECT_PATH

    def _client_of(self, request: web.Request, form: dict[str, str]) -> Client:
        """Authenticate the app by Basic header or form fields. Raises `OAuthError`."""
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        header = request.headers.get("Authorization", "")
        if header.startswith("Basic "):
            try:
                client_id, _, secret = base64.b64decode(header[6:]).decode().partition(":")
            except ValueError:
                raise OAuthError("invalid_client", status=401) from None
            client_id, secret = unquote(client_id), unquote(secret)
        client = self.clients.get(client_id)
        if client is None or not is_same_text(client.secret, secret):
            raise OAuthError("invalid_client", "Client authentication failed.", 401)
        return client

    def _exchange_code(self, issuer: str, client: Client, form: dict[str, str]) -> dict[str, Any]:
        grant, now = self.codes.get(form.get("code", "")), self.clock.seconds()
        if grant is None or grant.client is not client or grant.user is None or now > grant.expires_at:
            raise OAuthError("invalid_grant", "The code is unknown or has expired.")
        if grant.is_used:
            self.tokens.revoke(grant.family)
            raise OAuthError("invalid_grant", "The code was used before.")
        grant.is_used = True
        if form.get("redirect_uri") != grant.redirect_uri:
            raise OAuthError("invalid_grant", "The redirect address differs.")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if grant.challenge and base64.urlsafe_b64encode(digest).decode().rstrip("=") != grant.challenge:
            raise OAuthError("invalid_grant", "The code verifier does not fit.")
        if not self.companies_of(grant.user):
            raise OAuthError("invalid_tenant", "The user has no API User role on any company.")
        scope = grant.scope if client.granted is None else " ".join(client.granted)
        response = self.tokens.issue(
            issuer, client, grant.user.subject, scope, now, grant.tenant_id, grant.family
        )
        if "openid" in grant.scope.split():
            response["id_token"] = self.tokens.id_token(issuer, client, grant.user, grant.nonce, now)
        return response

    def _refresh_tokens(self, issuer: str, client: Client, form: dict[str, str]) -> dict[str, Any]:
        return self.tokens.refresh(issuer, form.get("refresh_token", ""), client, self.clock.seconds())

    def _issue_service_token(self, issuer: str, client: Client, form: dict[str, str]) -> dict[str, Any]:
        tenant = form.get("tenant_id", "")
        if client.mode != "service":
            raise OAuthError("unauthorized_client")
        if not tenant:
            raise OAuthError("invalid_request", "tenant_id is required.")
        if not self._is_tenant_allowed(client, tenant):
            raise OAuthError("invalid_tenant", "The tenant is unknown or has not approved this application.")
        scope = form.get("scope", "") or "vismanet_erp_service_api:read"
        response = self.tokens.issue(
            issuer, client, "", scope, self.clock.seconds(), tenant, secrets.token_hex(12)
        )
        response.pop("refresh_token", None)
        return response

    def _is_tenant_allowed(self, client: Client, tenant: str) -> bool:
        """Return whether the tenant approved the app, or is a customer tenant.

        The latter yields a token that the API refuses.
        """
        for company in self.companies:
            if tenant == company.customer_tenant_id:
                return True
            if tenant == company.tenant_id:
                return not company.closed and (client.approved is None or tenant in client.approved)
        return False


def _issuer(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def _ended_page() -> web.Response:
    return forms.page("This sign-in has ended", "<p>Go back to the application and start again.</p>", 400)
