"""All four registers below `/registers/<name>`, and the control endpoint that changes their entries."""

from copy import copy
from datetime import date

from aiohttp import web

from koppel_sandbox.company import Company
from koppel_sandbox.registers.entries import Entry, entries_of
from koppel_sandbox.registers.kvk import Kvk
from koppel_sandbox.registers.others import Brreg, Prh, Vies


class Registers:
    def __init__(self, companies: list[Company]) -> None:
        self.entries = entries_of(companies)
        self._first = [copy(entry) for entry in self.entries.rows]
        self.brreg = Brreg(self.entries)

    def routes(self) -> list[web.RouteDef]:
        return [
            *Kvk(self.entries).routes("/registers/kvk"),
            *self.brreg.routes("/registers/brreg"),
            *Prh(self.entries).routes("/registers/prh"),
            *Vies(self.entries).routes("/registers/vies"),
            web.get("/__sandbox__/registers", self.listed),
            web.post("/__sandbox__/registers", self.change),
        ]

    def reset(self) -> None:
        self.entries.rows[:] = [copy(entry) for entry in self._first]
        self.brreg.removed.clear()

    async def listed(self, _request: web.Request) -> web.Response:
        rows = [
            {
                "country": entry.country,
                "number": entry.number,
                "name": entry.name,
                "rsin": entry.rsin,
                "vat": entry.vat,
                "closed_on": entry.closed_on.isoformat() if entry.closed_on else None,
            }
            for entry in self.entries.rows
        ]
        return web.json_response({"entries": rows})

    async def change(self, request: web.Request) -> web.Response:
        """Create or change an entry from `{"country", "number"}` and further fields.

        `name`, `activity`, `rsin`, `vat` and `closed_on` set these fields; `gone` deletes the entry;
        `removed` is Norway's 410; `reset` alone restores the initial state.
        """
        payload = await request.json()
        if payload.get("reset"):
            self.reset()
            return web.json_response({})
        country, number = payload["country"], payload["number"]
        entry = self.entries.by_number(country, number)
        if payload.get("gone") or payload.get("removed"):
            self.entries.rows[:] = [row for row in self.entries.rows if row is not entry]
            self.brreg.removed |= {number} if payload.get("removed") else set()
            return web.json_response({})
        if entry is None:
            entry = Entry(
                country=country,
                number=number,
                name=payload.get("name", ""),
                activity=payload.get("activity", ""),
            )
            self.entries.rows.append(entry)
        for name in ("name", "activity", "rsin", "vat"):
            setattr(entry, name, payload.get(name, getattr(entry, name)))
        if "closed_on" in payload:
            entry.closed_on = date.fromisoformat(payload["closed_on"]) if payload["closed_on"] else None
        return web.json_response({})
