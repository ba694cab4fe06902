"""`/__sandbox__/`: controls for consents and tokens, and the log of token requests."""

import json
import secrets
from dataclasses import asdict
from typing import Any

from aiohttp import web

from koppel_sandbox.visma_net.connect import Connect

SCOPE = "openid email profile tenants offline_access vismanet_erp_interactive_api:read"


class TokenControl:
    def __init__(self, connect: Connect) -> None:
        self.connect = connect

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/__sandbox__/grants", self.give_consents),
            web.get("/__sandbox__/tokens", self.tokens),
            web.post("/__sandbox__/revoke", self.revoke),
            web.post("/__sandbox__/approvals", self.approve),
        ]

    async def give_consents(self, request: web.Request) -> web.Response:
        """Create consents as if given in the browser, from `{"client_id", "email", "count", "tenant_id"}`.

        Returns token responses, each with its `family`.
        """
        payload = await request.json()
        client = self.connect.clients[payload["client_id"]]
        user = self.connect.users[payload.get("email", "demo@sandbox.example")]
        issuer, now = f"{request.scheme}://{request.host}", self.connect.clock.seconds()
        grants = []
        for _number in range(int(payload.get("count", 1))):
            family = secrets.token_hex(12)
            response = self.connect.tokens.issue(
                issuer,
                client,
                user.subject,
                payload.get("scope", SCOPE),
                now,
                payload.get("tenant_id"),
                family,
            )
            grants.append({**response, "family": family, "subject": user.subject})
        return web.json_response({"grants": grants})

    async def tokens(self, request: web.Request) -> web.Response:
        """Return counts of the token endpoint.

        `?families=1` adds each family, `?texts=1` every token text that was issued.
        """
        tokens = self.connect.tokens
        summary: dict[str, Any] = vars(tokens.counts) | {}
        summary["revoked"] = sum(family.revoked for family in tokens.families.values())
        if request.query.get("families"):
            summary["families"] = {key: asdict(family) for key, family in tokens.families.items()}
        if request.query.get("texts"):
            summary["texts"] = [*tokens.texts, *self.connect.codes]
        return web.json_response(summary)

    async def revoke(self, request: web.Request) -> web.Response:
        """Withdraw consents, as a user can at the vendor.

        All, or those that match `{"family", "client_id", "email", "tenant_id"}`.
        """
        text = await request.text()
        criteria: dict[str, Any] = json.loads(text) if text else {}
        if email := criteria.pop("email", ""):
            criteria["subject"] = self.connect.users[email].subject
        tokens = self.connect.tokens
        families = [
            key
            for key, state in tokens.families.items()
            if all(
                value == (key if name == "family" else getattr(state, name))
                for name, value in criteria.items()
            )
        ]
        for family in families:
            tokens.revoke(family)
        return web.json_response({"revoked": len(families)})

    async def approve(self, request: web.Request) -> web.Response:
        """Approve a service app for a company, or withdraw the approval.

        Takes `{"client_id", "tenant_id", "approved": true}`. From the first such call on, only tenants that
        approved get tokens; a withdrawal also ends issued tokens.
        """
        payload = await request.json()
        client, tenant = self.connect.clients[payload["client_id"]], str(payload["tenant_id"])
        approved = (
            {company.tenant_id for company in self.connect.companies}
            if client.approved is None
            else {*client.approved}
        )
        if payload.get("approved", True):
            approved.add(tenant)
        else:
            approved.discard(tenant)
            self.connect.tokens.end_access(client.client_id, tenant)
        client.approved = sorted(approved)
        return web.json_response({"approved": client.approved})
