"""`/__sandbox__/`: controls for tests and demos. Not part of the simulated vendor."""

from copy import copy
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from koppel_sandbox import from_sie
from koppel_sandbox.clock import Clock
from koppel_sandbox.company import Company
from koppel_sandbox.faults import Fault, Faults
from koppel_sandbox.visma_net import changes, shapes
from koppel_sandbox.visma_net.connect import Connect
from koppel_sandbox.visma_net.encoded_books import ScheduledChange
from koppel_sandbox.visma_net.erp import Erp
from koppel_sandbox.visma_net.limits import Limits


class AdminApi:
    def __init__(
        self,
        *,
        clock: Clock,
        connect: Connect,
        erp: Erp,
        limits: Limits,
        faults: Faults,
        refusals: dict[str, str],
    ) -> None:
        self.clock, self.connect, self.erp, self.limits, self.faults = clock, connect, erp, limits, faults
        self.refusals = refusals
        self._first = [copy(company) for company in connect.companies]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/__sandbox__/companies", self.companies),
            web.get("/__sandbox__/companies/{id}", self.company),
            web.post("/__sandbox__/companies/{id}", self.change_company),
            web.post("/__sandbox__/rotate", self.rotate),
            web.get("/__sandbox__/companies/{id}/batches", self.batches),
            web.post("/__sandbox__/companies/{id}/batches", self.change_batches),
            web.post("/__sandbox__/companies/{id}/paging", self.change_paging),
            web.post("/__sandbox__/companies/{id}/balances", self.change_balances),
            web.post("/__sandbox__/clock", self.set_clock),
            web.get("/__sandbox__/faults", self.all_faults),
            web.post("/__sandbox__/faults", self.add_fault),
            web.delete("/__sandbox__/faults", self.clear_faults),
            web.post("/__sandbox__/settings", self.settings),
            web.get("/__sandbox__/calls", self.calls),
            web.delete("/__sandbox__/calls", self.clear_calls),
            web.post("/__sandbox__/reset", self.reset),
        ]

    async def companies(self, request: web.Request) -> web.Response:
        """List all companies and the refused files; with `?counts=1` also the counts of their books.

        The counts generate all books. They come with the reasons for refused files, and the lines of the
        others that were left out.
        """
        rows = []
        for company in self.connect.companies:
            rows.append(
                _company_summary(company)
                | (await self._counts(company) if request.query.get("counts") else {})
            )
        skipped_lines = [
            {"file": company.source, "line": line, "reason": reason}
            for company in self.connect.companies
            for line, reason in company.skipped_lines
        ]
        return _json({"companies": rows, "refused": self.refusals, "skipped_lines": skipped_lines})

    async def company(self, request: web.Request) -> web.Response:
        company = self._company(request)
        return _json(_company_summary(company) | await self._counts(company))

    async def change_company(self, request: web.Request) -> web.Response:
        """Change a company from `{"name", "number", "vat_number", "closed", "licensed"}`.

        As if a user changed it at the vendor.
        """
        company, payload = self._company(request), await request.json()
        for name in ("name", "number", "vat_number", "closed", "licensed"):
            setattr(company, name, payload.get(name, getattr(company, name)))
        if company.has_books:
            (await self.erp.encoded_books(company)).lists.pop("/v1/organization", None)
        return _json(_company_summary(company))

    async def rotate(self, request: web.Request) -> web.Response:
        """Swap companies between ids, from `{"companies": [id, …]}` with at least two ids.

        Each id then stands for the company of the next one, the last for that of the first: identity and
        books. As in a system that numbers its companies by their position in a list.
        """
        companies = [self._company_of(str(key)) for key in (await request.json())["companies"]]
        if len(companies) < 2 or len({company.id for company in companies}) != len(companies):
            raise web.HTTPBadRequest
        contents = [company.contents() for company in companies]
        for company, content in zip(companies, contents[1:] + contents[:1], strict=True):
            company.fill(content)
        self.erp.forget({company.id for company in companies})
        return _json({"companies": [_company_summary(company) for company in companies]})

    async def batches(self, request: web.Request) -> web.Response:
        """List what an exact copy of the journal contains.

        The format is `[{module, number, period, lines: [line number]}]`.
        """
        encoded = await self.erp.encoded_books(self._company(request))
        return _json([changes.batch_summary(batch) for batch in encoded.batches])

    async def change_batches(self, request: web.Request) -> web.Response:
        """Change batches as `changes.apply` describes, stamped with the sandbox's clock.

        With `{"after": {"path", "calls"}}` the change is made after so many more responses of the path: while
        a client is paging.
        """
        company, payload = self._company(request), await request.json()
        encoded = await self.erp.encoded_books(company)
        if "after" in payload:
            encoded.scheduled_changes.append(
                ScheduledChange(
                    path=payload["after"]["path"], calls=int(payload["after"]["calls"]), change=payload
                )
            )
            return _json({})
        return _json(changes.apply(encoded, payload, shapes.moment(self.clock.now())))

    async def change_paging(self, request: web.Request) -> web.Response:
        """Set `{"page_size_max", "stated_page_size_max", "copies"}` of one company; see `EncodedBooks`."""
        encoded = await self.erp.encoded_books(self._company(request))
        for name, value in (await request.json()).items():
            if name not in ("page_size_max", "stated_page_size_max", "copies"):
                raise web.HTTPBadRequest
            setattr(encoded, name, value)
        encoded.forget_pages()
        return _json({})

    async def change_balances(self, request: web.Request) -> web.Response:
        """Set the `signs` of one company's balances, `debit` or `account`, and `touch` those of periods."""
        company, payload = self._company(request), await request.json()
        encoded = await self.erp.encoded_books(company)
        if payload.keys() - {"signs", "touch"} or payload.get("signs", "debit") not in ("debit", "account"):
            raise web.HTTPBadRequest
        if "signs" in payload:
            by_account = payload["signs"] == "account"
            encoded.balances = list(shapes.balances(company, by_account=by_account))
        stamp = shapes.moment(self.clock.now())
        return _json({"count": changes.touch_balances(encoded, payload.get("touch", ()), stamp)})

    async def set_clock(self, request: web.Request) -> web.Response:
        payload = await request.json()
        if "now" in payload:
            self.clock.set(datetime.fromisoformat(payload["now"]))
        self.clock.advance(timedelta(seconds=float(payload.get("advance_seconds", 0))))
        return _json({"now": self.clock.now().isoformat()})

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = Fault(**await request.json())
        self.faults.waiting.append(fault)
        return _json(asdict(fault))

    async def all_faults(self, _request: web.Request) -> web.Response:
        """List pending faults, and the number of responses being held."""
        return _json(
            {
                "waiting": [asdict(fault) for fault in self.faults.waiting],
                "held": len(self.faults.held_responses),
            }
        )

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self.faults.clear()
        return _json({})

    async def settings(self, request: web.Request) -> web.Response:
        """Set the behaviour of the vendor.

        `latency_seconds`, `quotas` (`{policy: [calls, seconds]}`; `quota` and `quota_seconds` set the hourly
        one alone), `names_issuer`, `strict_redirects`, per client `{"clients": {id: {field: value}}}`, per
        user `{"reach": {email: count}}`, with `reach_in_seconds` when the change of role takes a while.
        """
        payload = await request.json()
        self.faults.latency_seconds = float(payload.get("latency_seconds", self.faults.latency_seconds))
        self.limits.change(payload)
        for client_id, values in payload.get("clients", {}).items():
            for name, value in values.items():
                setattr(self.connect.clients[client_id], name, value)
        self.connect.strict_redirects = bool(payload.get("strict_redirects", self.connect.strict_redirects))
        self.connect.names_issuer = bool(payload.get("names_issuer", self.connect.names_issuer))
        for email, reach in payload.get("reach", {}).items():
            user, now = self.connect.users[email], self.clock.seconds()
            user.reach_before, user.reach = user.reach_at(now), reach
            user.reach_from = now + float(payload.get("reach_in_seconds", 0))
        return _json({})

    async def calls(self, _request: web.Request) -> web.Response:
        return _json(list(self.faults.calls))

    async def clear_calls(self, _request: web.Request) -> web.Response:
        self.faults.forget_calls()
        return _json({})

    async def reset(self, _request: web.Request) -> web.Response:
        """Restore the initial state.

        Resets clock, faults, quotas, people, apps, consents, companies and their books.
        """
        for company, first in zip(self.connect.companies, self._first, strict=True):
            company.__dict__.update(first.__dict__)
        self.clock.reset()
        self.faults.reset()
        self.limits.reset()
        self.erp.forget()
        self.connect.reset()
        return _json({})

    def _company(self, request: web.Request) -> Company:
        return self._company_of(request.match_info["id"])

    def _company_of(self, key: str) -> Company:
        for company in self.connect.companies:
            if key in (str(company.id), company.tenant_id, company.source):
                return company
        raise web.HTTPNotFound

    async def _counts(self, company: Company) -> dict[str, Any]:
        await self.erp.encoded_books(company)
        books = company.books
        differing = from_sie.differences(books) if company.source else {}
        return {
            "accounts": len(books.accounts),
            "entries": len(books.entries),
            "entry_lines": books.line_count,
            "debit": str(books.debit_sum),
            "fiscal_years": sorted({period.year for period in books.periods}),
            "differences": {code: format(amount, "f") for code, amount in differing.items()},
        }


def _company_summary(company: Company) -> dict[str, Any]:
    return {
        "id": company.id,
        "tenant_id": company.tenant_id,
        "customer_tenant_id": company.customer_tenant_id,
        "name": company.name,
        "number": company.number,
        "country": company.country,
        "source": company.source,
    }


def _json(value: Any) -> web.Response:
    return web.json_response(value)
