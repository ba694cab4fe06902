"""Every response of the simulated ERP API matches the vendor's published description."""

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from koppel.connector import contract
from koppel.connector.contract import HistoryWindow, ReadMode
from koppel.connectors.visma_net.connector import VismaNet
from koppel.kit.http.client import Response
from koppel_sandbox import from_sie, generate
from koppel_sandbox.company import Company
from koppel_sandbox.visma_net.app import build
from tests.fixtures.stack import CLIENT_SECRET, CLIENTS

LISTS = (
    "/v1/organization",
    "/v1/branch",
    "/v1/account",
    "/v1/ledger",
    "/v1/financialPeriod",
    "/v1/vat",
    "/v1/department",
    "/v1/project",
    "/v1/customer",
    "/v1/supplier",
    "/v1/creditTerm",
    "/v1/dimension",
)
BY_PERIOD = ("/v2/journaltransaction", "/v2/generalLedgerBalance")


@pytest.fixture(scope="module")
def description(shared_reference: Path) -> dict[str, Any]:
    """The OpenAPI description of April 2025, with its dialect of "may be null" turned into JSON Schema's."""
    path = shared_reference / "vismanet" / "vismanet-erp-service-api.openapi-3.0.4.2025-04-24.json.gz"
    return modernise_schema(json.loads(gzip.decompress(path.read_bytes())))  # type: ignore[no-any-return]


def modernise_schema(node: Any) -> Any:
    """`nullable` becomes a type, and an object may hold nothing but what is described."""
    if isinstance(node, list):
        return [modernise_schema(one) for one in node]
    if not isinstance(node, dict):
        return node
    schema = {key: modernise_schema(value) for key, value in node.items()}
    if schema.pop("nullable", False) is True and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("properties"), dict) and schema.get("type") in ("object", ["object", "null"]):
        schema.setdefault("additionalProperties", False)
    return schema


@pytest.fixture(scope="module")
def companies(shared_reference: Path) -> list[Company]:
    """One of each country, and real ledgers."""
    generated = generate.generate_companies(10, lines_max=600, seed=1, today=date(2026, 6, 1))
    read, _refused = from_sie.companies(shared_reference / "sie")
    return [*generated, *read[:2]]


class Vendor:
    """Calls the played API for one company after the other, as an application with a tenant's token."""

    def __init__(self, client: "TestClient[Any, Any]", description: dict[str, Any]) -> None:
        self._client, self._description = client, description
        document: Resource[Any] = Resource(contents=description, specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource("urn:vendor", document)
        self._paths = {path.lower(): path for path in description["paths"]}

    async def get(self, company: Company, path: str, template: str = "", **query: str) -> Any:
        """The body, after it was held against the published description of the operation."""
        headers = {"Authorization": f"Bearer {await self._token(company)}"}
        answer = await self._client.get(path, params=query, headers=headers)
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "application/json"
        body = await answer.json()
        faults = list(self._validator(template or path).iter_errors(body))
        assert faults == [], f"{path}: {faults[0].json_path} {faults[0].message[:300]}"
        return body

    async def send(self, company: Company, path: str, query: dict[str, str]) -> Response:
        """Unchecked, as the connector gets it."""
        headers = {"Authorization": f"Bearer {await self._token(company)}"}
        answer = await self._client.get(path, params=query, headers=headers)
        return Response(
            status=answer.status,
            headers={key.lower(): value for key, value in answer.headers.items()},
            body=await answer.read(),
        )

    @property
    def address(self) -> str:
        return str(self._client.make_url("")).rstrip("/")

    async def _token(self, company: Company) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENTS["service"],
            "client_secret": CLIENT_SECRET,
            "tenant_id": company.tenant_id,
        }
        answer = await self._client.post("/connect/token", data=form)
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["access_token"])

    def _validator(self, path: str) -> Draft202012Validator:
        published = self._paths[path.lower()]
        path_key = published.replace("~", "~0").replace("/", "~1")
        pointer = f"#/paths/{path_key}/get/responses/200/content/application~1json/schema"
        return Draft202012Validator({"$ref": f"urn:vendor{pointer}"}, registry=self._registry)

    def described_parameters(self, path: str) -> set[str]:
        return {
            parameter["name"]
            for parameter in self._description["paths"][self._paths[path.lower()]]["get"]["parameters"]
        }


@pytest.fixture
async def vendor(companies: list[Company], description: dict[str, Any]) -> Any:
    async with TestClient(TestServer(build(companies, {}, 1, []))) as client:
        yield Vendor(client, description)


async def test_lists_are_as_published(vendor: Vendor, companies: list[Company]) -> None:
    for company in companies:
        for path in LISTS:
            await vendor.get(company, path, pageNumber="1", pageSize="1000")
        for name in await vendor.get(company, "/v1/dimension"):
            await vendor.get(company, f"/v1/dimension/{name}", "/v1/dimension/{dimensionId}")


async def test_entries_and_balances_are_as_published_on_every_page(
    vendor: Vendor, companies: list[Company]
) -> None:
    lines = {company.id: 0 for company in companies}
    for company in companies:
        for path in BY_PERIOD:
            for period in periods(await vendor.get(company, "/v1/financialPeriod")):
                async for item in pages(vendor, company, path, periodId=period):
                    lines[company.id] += len(item.get("journalTransactionLines", ()))
    assert {company.id: company.books.line_count for company in companies} == lines


async def test_the_connector_sends_published_parameters_only(
    vendor: Vendor, companies: list[Company]
) -> None:
    """Every resource, read whole and read for changes."""
    session = VendorSession(vendor, companies[0])
    connector = VismaNet()
    for spec in await connector.list_resources(session):
        position = await read(connector, session, spec.key, ReadMode.FULL, None)
        if ReadMode.MODIFIED_SINCE in spec.read_modes:
            await read(connector, session, spec.key, ReadMode.MODIFIED_SINCE, position)
    assert len(session.sent) > len(LISTS)
    assert {
        (path, name) for path, names in session.sent for name in names - vendor.described_parameters(path)
    } == set()


async def read(
    connector: VismaNet, session: "VendorSession", resource: str, mode: ReadMode, cursor: str | None
) -> str | None:
    """To the end; the checkpoint."""
    while True:
        page = await connector.read_page(session, resource, mode, HistoryWindow(1, date(2026, 6, 1)), cursor)
        if page.next_cursor is None:
            return page.incremental_cursor
        cursor = page.next_cursor


class VendorSession:
    """The contract's session, straight to the played API; remembers what was sent: (template of the path,
    names).
    """

    consent_mode = "service"

    def __init__(self, vendor: Vendor, company: Company) -> None:
        self.base_urls = dict.fromkeys(("identity", "api", "legacy"), vendor.address)
        self.company = contract.Company(company.tenant_id, company.name)
        self.sent: list[tuple[str, set[str]]] = []
        self._vendor, self._of = vendor, company

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        path = url.removeprefix(self.base_urls["api"])
        template = "/v1/dimension/{dimensionId}" if path.startswith("/v1/dimension/") else path
        self.sent.append((template, set(params or ())))
        return await self._vendor.send(self._of, path, dict(params or {}))


def periods(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield row["period"] if len(row["period"]) == 6 else f"{row['year']}{row['period']}"


async def pages(vendor: Vendor, company: Company, path: str, **query: str) -> Any:
    number, left = 1, 1
    while left > 0:
        items = await vendor.get(company, path, pageNumber=str(number), pageSize="100", **query)
        for item in items:
            yield item
        total = items[0]["metadata"]["totalCount"] if items else 0
        left, number = total - number * 100, number + 1
