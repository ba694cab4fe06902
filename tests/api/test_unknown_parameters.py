"""Every REST operation refuses undeclared parameters by name."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.web.factories import IMPORT, World, build_world

BODIES: dict[str, Any] = {
    "PUT /api/v1/notifications/preferences": [
        {"event": "sync_failing", "channel": "email", "scope": "mine", "colour": "red"}
    ],
}
"""Those that are not one object."""
NESTED: dict[str, Any] = {
    "POST /api/v1/onboarding/flows/{token}/identify": {"identities": [{"company": 1, "colour": "red"}]},
}
"""Those with objects within."""


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


@pytest.fixture
def admin(world: World) -> Client:
    return world.client("administrator")


@pytest.fixture
def operations(admin: Client) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, description) of every operation that is published."""
    paths = admin.get("/api/v1/openapi.json").json()["paths"]
    published = [
        (method.upper(), path, description)
        for path, methods in paths.items()
        for method, description in methods.items()
    ]
    assert len(published) > 60
    return published


def address(world: World, path: str) -> str:
    samples = {
        "administration_id": world.active.pk,
        "connection_id": world.active.connection_id,
        "run_id": world.run_id,
        "division_id": world.division.pk,
        "template_id": world.template.pk,
        "webhook_id": world.webhook_id,
        "membership_id": world.bystander.membership_id,
        "import_id": IMPORT,
        "resource": "accounts",
        "token": uuid.UUID(int=1),
    }
    return re.sub(r"\{(\w+)\}", lambda word: str(samples.get(word[1], 987654)), path)


def send(client: Client, method: str, path: str, body: Any = None) -> Any:
    content = "" if body is None else json.dumps(body)
    return client.generic(method, path, content, "application/json")


def test_every_operation_refuses_an_unknown_query_parameter(
    admin: Client, world: World, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    wrong = []
    for method, path, _description in operations:
        answer = send(admin, method, f"{address(world, path)}?stauts=failed")
        named = (
            [error.get("loc") for error in answer.json().get("detail", ())]
            if answer.status_code == 422
            else []
        )
        if ["query", "stauts"] not in named:
            wrong.append(f"{method} {path}: {answer.status_code} {answer.content[:120]!r}")
    assert wrong == []


def test_every_operation_refuses_a_single_parameter_that_comes_twice(
    admin: Client, world: World, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    tried, wrong = 0, []
    for method, path, description in operations:
        single = [one["name"] for one in description.get("parameters", ()) if is_single(one)]
        for name in single:
            tried += 1
            answer = send(admin, method, f"{address(world, path)}?{name}=1&{name}=2")
            if answer.status_code != 422 or ["query", name] not in [
                problem["loc"] for problem in answer.json()["detail"]
            ]:
                wrong.append(f"{method} {path} {name}: {answer.status_code}")
    assert tried > 20
    assert wrong == []


def is_single(parameter: dict[str, Any]) -> bool:
    return parameter["in"] == "query" and parameter["schema"].get("type") != "array"


def test_every_operation_refuses_an_unknown_field_of_its_body(
    admin: Client, world: World, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    wrong = []
    for method, path, _description in operations:
        if method in ("GET", "DELETE"):
            continue
        answer = send(admin, method, address(world, path), BODIES.get(f"{method} {path}", {"colour": "red"}))
        if answer.status_code != 422 or not refuses_body(answer.json()):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.content[:160]!r}")
    assert wrong == []


def refuses_body(body: dict[str, Any]) -> bool:
    """By the name of the field, or because the operation takes no body at all."""
    return any("colour" in error["loc"] or "takes no body" in error["msg"] for error in body["detail"])


def test_objects_within_a_body_refuse_unknown_fields_too(admin: Client, world: World) -> None:
    for operation, body in NESTED.items():
        method, path = operation.split()
        answer = send(admin, method, address(world, path), body)
        assert (answer.status_code, refuses_body(answer.json())) == (422, True), operation


def test_every_described_object_that_is_sent_is_closed(admin: Client) -> None:
    """Also one that is added later, and those within others."""
    description = admin.get("/api/v1/openapi.json").json()
    sent = set(schemas_sent(description))
    assert len(sent) > 15
    named = description["components"]["schemas"]
    open_ones = [
        schema
        for schema in sent
        if "properties" in named[schema] and named[schema].get("additionalProperties") is not False
    ]
    assert open_ones == []


def test_a_truth_value_is_never_the_number_of_a_row(
    admin: Client, world: World, operations: list[tuple[str, str, dict[str, Any]]]
) -> None:
    """`true` was row 1: a merge into it moved administrations."""
    schemas = admin.get("/api/v1/openapi.json").json()["components"]["schemas"]
    tried, wrong = 0, []
    for method, path, description in operations:
        name = next(iter(refs_in(description.get("requestBody", {}))), "")
        for field, schema in schemas.get(name, {}).get("properties", {}).items():
            if '"integer"' not in json.dumps(schema):
                continue
            tried += 1
            answer = send(admin, method, address(world, path), {field: [True] if "items" in schema else True})
            if answer.status_code != 422 or not refuses_number(answer.json(), field):
                wrong.append(f"{method} {path} {field}: {answer.status_code} {answer.content[:160]!r}")
    assert tried > 10
    assert wrong == []


def refuses_number(body: dict[str, Any], field: str) -> bool:
    return any(field in error["loc"] and error["type"] == "int_type" for error in body["detail"])


def schemas_sent(description: dict[str, Any]) -> Iterator[str]:
    """Names of the schemas of bodies, and of what they hold."""
    bodies = [
        operation["requestBody"]
        for methods in description["paths"].values()
        for operation in methods.values()
        if "requestBody" in operation
    ]
    waiting, seen = refs_in(bodies), set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting |= refs_in(description["components"]["schemas"][name])
            yield name


def refs_in(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)))


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/activity?action=explode", "action", "explode"),
        ("/activity?interface=roof", "interface", "roof"),
        ("/activity?person=987654", "person", "987654"),
        ("/activity?since=yesterday", "since", "yesterday"),
        ("/notifications?unread=maybe", "unread", "maybe"),
        ("/notifications?page=0", "page", "0"),
        ("/imports/{import}?status=elsewhere", "status", "elsewhere"),
        ("/imports/{import}?limit=100000", "limit", "100000"),
        ("/administrations/{one}/sync/runs?limit=0", "limit", "0"),
        ("/administrations/{one}/sync/runs/{run}/changes?kind=gone", "kind", "gone"),
        ("/administrations/{one}/sync/runs/{run}/changes?resource=Accounts", "resource", "Accounts"),
        ("/administrations/{one}/sync/runs/{run}/changes?page=x", "page", "x"),
        ("/administrations/{one}/books/accounts?page=-1", "page", "-1"),
        ("/administrations/{one}/books/accounts/records?changed_since=lately", "changed_since", "lately"),
        ("/administrations/{one}/books/trial-balance?year=1066", "year", "1066"),
        ("/administrations/{one}/books/trial-balance?until=soon", "until", "soon"),
        ("/webhooks/{webhook}/deliveries?state=lost", "state", "lost"),
        ("/administrations/bulk/{bulk}/items?state=lost", "state", "lost"),
    ],
)
def test_an_unknown_value_is_refused_with_its_parameter(
    admin: Client, world: World, path: str, name: str, value: str
) -> None:
    operation = send(
        admin, "POST", "/api/v1/administrations/bulk", {"action": "add_favourite", "ids": [world.active.pk]}
    ).json()
    words = {
        "import": IMPORT,
        "one": world.active.pk,
        "run": world.run_id,
        "webhook": world.webhook_id,
        "bulk": operation["id"],
    }
    answer = admin.get(f"/api/v1{path.format(**words)}")
    assert answer.status_code == 422, answer.content
    errors = [(error["loc"], error.get("value")) for error in answer.json()["detail"]]
    assert (["query", name], value) in errors
