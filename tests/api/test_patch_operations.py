"""Every PATCH that the OpenAPI document has: what changes nothing says so, what is wrong changes nothing."""

import json
from typing import Any

import pytest
from django.test import Client

from tests.api.test_unknown_parameters import address, operations, send
from tests.web.factories import World, build_world

__all__ = ["operations"]
PATH = "/api/v1/administrations/{administration_id}"
SAME: dict[str, dict[str, Any]] = {
    PATH: {"client_number": "C-1"},
    f"{PATH}/settings": {"values": {"schedule": "night"}},
}
"""Bodies that state what the second call finds."""
WRONG: dict[str, list[dict[str, Any]]] = {
    PATH: [
        {"number": "abc"},
        {"number": None},
        {"client_number": "x" * 61},
        {"division": 987654},
        {"division": "Noord"},
        {"template": 987654},
        {"template": True},
        {"sector": "ZZ"},
        {"sector": "c"},
        {"add": [987654]},
        {"add": ["anna@x.example"]},
        {"remove": [987654]},
        {"remove": 1},
    ],
    f"{PATH}/settings": [
        {"values": {"schedule": "nihgt"}},
        {"values": {"shcedule": "night"}},
        {"values": {"shcedule": None}},
        {"values": {"history_years": "many"}},
        {"values": []},
        {"values": {"night_begins": "25:00"}},
    ],
}
"""Each is sent together with a change that would be right."""
RIGHT: dict[str, dict[str, Any]] = {
    PATH: {"client_number": "C-9"},
    f"{PATH}/settings": {"values": {"schedule": "hourly_8"}},
}


@pytest.fixture
def world(actor: Any) -> World:
    return build_world(actor)


@pytest.fixture
def admin(world: World) -> Client:
    return world.client("administrator")


def patches(operations: list[tuple[str, str, dict[str, Any]]]) -> list[str]:
    paths = [path for method, path, _description in operations if method == "PATCH"]
    assert set(paths) == set(SAME) == set(WRONG) == set(RIGHT), "each needs its bodies here"
    return paths


def merge_bodies(right: dict[str, Any], wrong: dict[str, Any]) -> dict[str, Any]:
    """Both in one body; where both have an object, its fields."""
    both = {
        key: {**right[key], **value} if isinstance(value, dict) and key in right else value
        for key, value in wrong.items()
    }
    return {**right, **both}


def test_a_patch_that_changes_nothing_says_so(admin: Client, world: World, operations: Any) -> None:
    for path in patches(operations):
        target = address(world, path)
        first, second, empty = (send(admin, "PATCH", target, body) for body in (SAME[path], SAME[path], {}))
        assert [answer.status_code for answer in (first, second)] == [200, 200], first.content
        assert (len(first.json()["changed"]), second.json()["changed"]) == (1, []), path
        assert empty.status_code in (409, 422) or empty.json()["changed"] == [], path


def test_a_patch_that_is_wrong_changes_nothing(admin: Client, world: World, operations: Any) -> None:
    wrong = []
    for path in patches(operations):
        target = address(world, path)
        before = admin.get(target).content
        for body in WRONG[path]:
            answer = send(admin, "PATCH", target, merge_bodies(RIGHT[path], body))
            if answer.status_code not in (404, 409, 422) or admin.get(target).content != before:
                wrong.append(f"{path} {json.dumps(body)[:80]}: {answer.status_code} {answer.content[:200]!r}")
    assert wrong == []


def test_every_field_of_a_patch_is_tried_with_a_wrong_value(operations: Any, admin: Client) -> None:
    named = admin.get("/api/v1/openapi.json").json()["components"]["schemas"]
    for method, path, description in operations:
        if method == "PATCH":
            schema = json.dumps(description["requestBody"]).partition("schemas/")[2].partition('"')[0]
            tried = {field for body in WRONG[path] for field in body}
            assert tried == set(named[schema]["properties"]), path
