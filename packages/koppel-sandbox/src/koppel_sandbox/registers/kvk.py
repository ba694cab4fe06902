"""The Dutch register: Zoeken v2 and Basisprofiel v1, by their published API files and recorded responses.

The key is in the header `apikey`. In both, an unsuccessful search is a 404 with `fout`, and an unknown query
parameter is an error.
"""

from typing import Any

from aiohttp import web

from koppel_sandbox.registers.entries import Entries, Entry, digits

KEY = "sandbox"
PAGE_SIZE = 10
KNOWN_PARAMETERS = {
    "kvkNummer",
    "rsin",
    "vestigingsnummer",
    "naam",
    "plaats",
    "type",
    "pagina",
    "resultatenPerPagina",
}


class Kvk:
    def __init__(self, entries: Entries) -> None:
        self.entries = entries

    def routes(self, base: str) -> list[web.RouteDef]:
        return [
            web.get(f"{base}/api/v2/zoeken", self.search),
            web.get(f"{base}/api/v1/basisprofielen/{{number}}", self.profile),
        ]

    async def search(self, request: web.Request) -> web.Response:
        if (refusal := _key_refusal(request)) is not None:
            return refusal
        query = request.query
        if unknown := set(query) - KNOWN_PARAMETERS:
            return _error(400, "IPD1998", f"De parameter {sorted(unknown)[0]} is niet bekend.")
        matches = self._matches(query.get("kvkNummer", ""), query.get("rsin", ""), query.get("naam", ""))
        if not matches:
            return _error(404, "IPD5200", "Er zijn geen resultaten gevonden voor de opgegeven zoekopdracht.")
        size = min(int(query.get("resultatenPerPagina", PAGE_SIZE)), 100)
        rows = [_result(entry, request) for entry in matches[:size]]
        page = {"pagina": 1, "resultatenPerPagina": size, "totaal": len(matches), "resultaten": rows}
        return web.json_response(page | {"links": [{"rel": "self", "href": str(request.url)}]})

    async def profile(self, request: web.Request) -> web.Response:
        if (refusal := _key_refusal(request)) is not None:
            return refusal
        number = request.match_info["number"]
        entry = self.entries.by_number("NL", number)
        if entry is None or len(digits(number)) != 8:
            return _error(404, "IPD0005", f"De gevraagde KVK-nummer is niet gevonden: {number}")
        if entry.is_broken:
            return _error(500, "IPD9999", "Er is een technische fout opgetreden.")
        return web.json_response(_profile(entry))

    def _matches(self, number: str, rsin: str, name: str) -> list[Entry]:
        if number:
            entry = self.entries.by_number("NL", number)
            return [entry] if entry else []
        if rsin:
            return self.entries.by_rsin(rsin)
        return self.entries.by_name("NL", name) if name else []


def _result(entry: Entry, request: web.Request) -> dict[str, Any]:
    link = {"rel": "basisprofiel", "href": f"{request.url.origin()}/api/v1/basisprofielen/{entry.number}"}
    address = {"binnenlandsAdres": {"type": "bezoekadres", "straatnaam": "Dorpsstraat", "plaats": entry.city}}
    return {
        "kvkNummer": entry.number,
        "naam": entry.name,
        "adres": address,
        "type": "rechtspersoon",
        "actief": "Nee" if entry.closed_on else "Ja",
        "links": [link],
    }


def _profile(entry: Entry) -> dict[str, Any]:
    registration: dict[str, Any] = {"datumAanvang": "20150801"}
    if entry.closed_on is not None:
        registration["datumEinde"] = entry.closed_on.strftime("%Y%m%d")
    owner: dict[str, Any] = {"rechtsvorm": entry.form, "uitgebreideRechtsvorm": entry.form}
    if entry.rsin:
        owner["rsin"] = entry.rsin
    return {
        "kvkNummer": entry.number,
        "indNonMailing": "Ja",
        "naam": entry.name,
        "statutaireNaam": entry.name,
        "formeleRegistratiedatum": "20150622",
        "materieleRegistratie": registration,
        "totaalWerkzamePersonen": 3,
        "handelsnamen": [{"naam": entry.name, "volgorde": 0}],
        "sbiActiviteiten": [
            {"sbiCode": "70102", "sbiOmschrijving": "Financiële holdings", "indHoofdactiviteit": "Nee"},
            {"sbiCode": entry.activity, "sbiOmschrijving": "", "indHoofdactiviteit": "Ja"},
        ],
        "_embedded": {"eigenaar": owner},
        "_links": {"self": {"href": f"/api/v1/basisprofielen/{entry.number}"}},
    }


def _key_refusal(request: web.Request) -> web.Response | None:
    if request.headers.get("apikey") == KEY:
        return None
    return web.json_response(
        {"fout": [{"code": "IPD0001", "omschrijving": "De API key is ongeldig."}]}, status=401
    )


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"fout": [{"code": code, "omschrijving": message}]}, status=status)
