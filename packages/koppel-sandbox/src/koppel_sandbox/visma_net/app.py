"""The simulated vendor as one aiohttp application."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

from koppel_sandbox import faults
from koppel_sandbox.clock import Clock
from koppel_sandbox.company import Company
from koppel_sandbox.faults import Faults
from koppel_sandbox.registers.app import Registers
from koppel_sandbox.visma_net import forms
from koppel_sandbox.visma_net.admin_api import AdminApi
from koppel_sandbox.visma_net.connect import Connect
from koppel_sandbox.visma_net.erp import Erp, message
from koppel_sandbox.visma_net.limits import Limits
from koppel_sandbox.visma_net.token_control import TokenControl
from koppel_sandbox.visma_net.tokens import AccessToken, Tokens

PREFIX = re.compile(r"^/(?:api/)?(?:controller/)?api(?=/v\d)|^/api(?=/resources)")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
COMPANY = web.RequestKey("company", int)
"""The company of a call, for the log of calls."""


def build(
    companies: list[Company], refusals: dict[str, str], seed: int, redirect_uris: list[str]
) -> web.Application:
    """Build the app. `refusals` are the reasons for rejected SIE files."""
    clock, limits, found_faults = Clock(), Limits(), Faults()
    erp = Erp(clock)
    connect = Connect(clock=clock, tokens=Tokens(seed), companies=companies, redirect_uris=redirect_uris)
    control = AdminApi(
        clock=clock, connect=connect, erp=erp, limits=limits, faults=found_faults, refusals=refusals
    )
    gateway = Gateway(clock, connect, erp, limits)
    app = web.Application(middlewares=[fault_middleware(found_faults)])
    app.add_routes(
        [web.get("/", _home), *connect.routes(), *control.routes(), *TokenControl(connect).routes()]
    )
    app.add_routes(Registers(companies).routes())
    app.add_routes([web.get("/{path:.*}", gateway.get)])
    return app


class Gateway:
    """Checks caller, company and limits, and passes the call to the ERP API."""

    def __init__(self, clock: Clock, connect: Connect, erp: Erp, limits: Limits) -> None:
        self.clock, self.connect, self.erp, self.limits = clock, connect, erp, limits
        self._by_id = {company.id: company for company in connect.companies}
        self._by_tenant = {company.tenant_id: company for company in connect.companies}

    async def get(self, request: web.Request) -> web.StreamResponse:
        access = self.connect.tokens.access.get(
            request.headers.get("Authorization", "").removeprefix("Bearer ")
        )
        if access is None or access.expires_at <= self.clock.seconds():
            return web.json_response(
                {"statusCode": 401, "message": "Unauthorized. Access token is missing or invalid."},
                status=401,
            )
        path = PREFIX.sub("", request.path.lower()).rstrip("/")
        if path == "/resources/v1/context":
            return self._contexts(access)
        company = self._company(request, access)
        if isinstance(company, web.Response):
            return company
        request[COMPANY] = company.id
        if not any(scope.endswith(":read") for scope in access.scope.split()):
            return message(403, "The access token lacks the scope for this operation.")
        allowed, headers = self.limits.acquire(company.id, access.client_id, self.clock.seconds())
        if not allowed:
            return web.json_response({"message": "API calls quota exceeded."}, status=429, headers=headers)
        try:
            query = {key.lower(): value for key, value in request.query.items()}
            response = await self.erp.respond(company, path, query)
        except ValueError:
            response = message(400, "A parameter has a wrong format.")
        response.headers.update(headers)
        return response

    def _contexts(self, access: AccessToken) -> web.Response:
        """Return the deprecated list of companies: `[{id, name, type}]`."""
        user = self.connect.user_of(access.subject)
        if user is None or access.tenant_id is not None:
            return message(403, "Not available for this application.")
        return web.json_response(
            [
                {"id": company.id, "name": company.name, "type": "Standard"}
                for company in self.connect.companies_of(user)
            ]
        )

    def _company(self, request: web.Request, access: AccessToken) -> Company | web.Response:
        if access.tenant_id is not None:
            reached = self._by_tenant.get(access.tenant_id)
            if reached is None:  # the ERP API refuses the token of a customer tenant's id
                return web.json_response({"statusCode": 401, "message": "Unauthorized."}, status=401)
            if reached.closed or not reached.licensed or not self._has_role(access, reached):
                return _fault("12027", "No license for this company.", 403)
            return reached
        text = request.headers.get("ipp-company-id", "")
        if not text:
            return _fault("12002", "Invalid parameter exception: ipp-company-id", 400)
        company = self._by_id.get(int(text)) if text.isdigit() else None
        if company is None or not company.licensed or not self._has_role(access, company):
            return _fault("12027", "No license for this company.", 403)
        return company

    def _has_role(self, access: AccessToken, company: Company) -> bool:
        """Return whether the caller has the required role.

        A service needs no user; a person needs the API User role, which can be withdrawn while a token is
        valid.
        """
        user = self.connect.user_of(access.subject) if access.subject else None
        return not access.subject or (user is not None and self.connect.can_reach(user, company))


def _fault(code: str, text: str, status: int) -> web.Response:
    """Return an error of the old gateway."""
    body = {
        "ExceptionType": "IPPException",
        "ExceptionMessage": text,
        "ExceptionFaultCode": code,
        "ExceptionMessageID": f"{code}_00000000-0000-0000-0000-000000000000",
        "ExceptionDetails": "",
    }
    return web.json_response(body, status=status)


def fault_middleware(state: Faults) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/__sandbox__/") or request.path == "/":
            return await handler(request)
        started_at, calls = time.time(), state.calls
        header = request.headers.get("ipp-company-id", "")
        # The fault is chosen on arrival, not on response: a call abandoned by its client must not use up a
        # fault that was meant for the next one.
        fault = state.next_for(request.path, int(header) if header.isdigit() else None)
        if state.latency_seconds:
            await asyncio.sleep(state.latency_seconds)
        response: web.StreamResponse
        try:
            response = web.Response() if fault and fault.kind == "down" else await handler(request)
        except web.HTTPException as raised:
            response = raised
        if fault is not None:
            response = await faults.apply(state, fault, request, response)
        calls.append(
            {
                "at": started_at,
                "method": request.method,
                "path": request.path,
                "query": dict(request.query),
                "company": request.get(COMPANY),
                "status": response.status,
            }
        )
        if isinstance(response, web.HTTPException):
            raise response
        return response

    return middleware


async def _home(_request: web.Request) -> web.Response:
    return forms.page("Visma.net sandbox", "<p>It plays Visma Connect and the Visma.net ERP API.</p>")
