"""Norway's Enhetsregisteret, Finland's YTJ v3, and VIES, in their published formats."""

from typing import Any

from aiohttp import web

from koppel_sandbox.registers.entries import Entries, Entry, digits


class Brreg:
    """Four responses: 200; 200 with `slettedato` if deleted; 410 if removed; 404 with an empty body."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.removed: set[str] = set()

    def routes(self, base: str) -> list[web.RouteDef]:
        address = f"{base}/enhetsregisteret/api/enheter"
        return [web.get(address, self.search), web.get(f"{address}/{{number}}", self.get_unit)]

    async def get_unit(self, request: web.Request) -> web.Response:
        if "version=1" in request.headers.get("Accept", "").replace(" ", ""):
            return web.Response(status=406)
        number = request.match_info["number"]
        if number in self.removed:
            return web.json_response({"organisasjonsnummer": number, "slettedato": "2020-01-01"}, status=410)
        entry = self.entries.by_number("NO", number)
        return web.Response(status=404) if entry is None else web.json_response(_unit(entry))

    async def search(self, request: web.Request) -> web.Response:
        matches = self.entries.by_name("NO", request.query.get("navn", ""))
        page = {"size": 20, "totalElements": len(matches), "totalPages": 1, "number": 0}
        body: dict[str, Any] = {"_links": {"self": {"href": str(request.url)}}, "page": page}
        if matches:  # the block is absent without hits
            body["_embedded"] = {"enheter": [_unit(entry) for entry in matches[:20]]}
        return web.json_response(body)


def _unit(entry: Entry) -> dict[str, Any]:
    unit: dict[str, Any] = {
        "organisasjonsnummer": digits(entry.number),
        "navn": entry.name.upper(),
        "organisasjonsform": {"kode": "AS", "beskrivelse": "Aksjeselskap"},
    }
    if entry.closed_on is not None:
        return unit | {"slettedato": entry.closed_on.isoformat(), "respons_klasse": "SlettetEnhet"}
    return unit | {
        "naeringskode1": {"kode": entry.activity, "beskrivelse": "Virksomhet"},
        "forretningsadresse": {"poststed": entry.city, "land": "Norge"},
        "registrertIMvaregisteret": True,
        "konkurs": False,
        "underAvvikling": False,
        "underTvangsavviklingEllerTvangsopplosning": False,
        "respons_klasse": "Enhet",
    }


class Prh:
    """A list of companies, possibly empty; the number must have its hyphen."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries

    def routes(self, base: str) -> list[web.RouteDef]:
        return [web.get(f"{base}/opendata-ytj-api/v3/companies", self.companies)]

    async def companies(self, request: web.Request) -> web.Response:
        number, name = request.query.get("businessId", ""), request.query.get("name", "")
        if number and "-" not in number:
            return web.json_response({"message": "businessId is not valid", "errorcode": 400}, status=400)
        entry = self.entries.by_number("FI", number) if number else None
        matches = ([entry] if entry else []) if number else self.entries.by_name("FI", name)
        return web.json_response(
            {"totalResults": len(matches), "companies": [_company(each) for each in matches]}
        )


def _company(entry: Entry) -> dict[str, Any]:
    number = digits(entry.number)
    company: dict[str, Any] = {
        "businessId": {
            "value": f"{number[:7]}-{number[7:]}",
            "registrationDate": "2001-03-01",
            "source": "3",
        },
        "names": [
            {
                "name": f"{entry.name} (entinen)",
                "type": "1",
                "registrationDate": "2001-03-01",
                "endDate": "2009-12-31",
            },
            {"name": entry.name, "type": "1", "registrationDate": "2010-01-01"},
            {"name": f"{entry.name} Palvelut", "type": "3", "registrationDate": "2010-01-01"},
        ],
        "mainBusinessLine": {
            "type": entry.activity,
            "descriptions": [{"languageCode": "3", "description": "Business"}],
            "registrationDate": "2010-01-01",
        },
        "companyForms": [
            {"type": "16", "descriptions": [{"languageCode": "3", "description": "Limited company"}]}
        ],
        "tradeRegisterStatus": "1",
        "status": "2",
        "registrationDate": "2001-03-01",
    }
    return company | ({"endDate": entry.closed_on.isoformat()} if entry.closed_on else {})


ERRORS = {
    "201": "INVALID_INPUT",
    "300": "SERVICE_UNAVAILABLE",
    "301": "MS_UNAVAILABLE",
    "302": "TIMEOUT",
    "600": "MS_MAX_CONCURRENT_REQ",
}


class Vies:
    """Valid with or without a name (some countries hide it as `---`).

    The numbers of the VIES test service get its responses.
    """

    def __init__(self, entries: Entries) -> None:
        self.entries = entries

    def routes(self, base: str) -> list[web.RouteDef]:
        return [web.post(f"{base}/taxation_customs/vies/rest-api/check-vat-number", self.check)]

    async def check(self, request: web.Request) -> web.Response:
        payload = await request.json()
        country, number = str(payload.get("countryCode", "")), str(payload.get("vatNumber", ""))
        if number in ERRORS:
            return web.json_response({"actionSucceed": False, "errorWrappers": [{"error": ERRORS[number]}]})
        entry = self.entries.by_vat(country, number)
        valid = number == "100" or (entry is not None and entry.closed_on is None)
        name = "---" if entry is None or country == "DE" or not valid else entry.name
        body = {
            "countryCode": country,
            "vatNumber": number,
            "requestDate": "2026-11-25T08:00:00.000Z",
            "valid": valid,
        }
        return web.json_response(body | {"requestIdentifier": "", "name": name, "address": "---"})
