"""The API reference page: the published description, readable and searchable."""

import json
import shlex
from html import unescape
from typing import Any

import pytest

from koppel.api.reference import list_operations
from tests.fixtures.people import signed_in

PAGE = "/account/api/"


def test_every_operation_of_the_description_is_there_with_an_example_that_can_be_typed(actor: Any) -> None:
    client = signed_in(actor("reader"))
    described = client.get("/api/v1/openapi.json").json()["paths"]
    paths = {(path, method.upper()) for path, methods in described.items() for method in methods}
    assert {(operation.path, operation.method) for operation in list_operations()} == paths
    page = unescape(client.get(PAGE).content.decode())
    for operation in list_operations():
        words = shlex.split(operation.example)
        assert (words[0], "{" in words[-1] and "-d" not in words) == ("curl", False), operation.example
        assert operation.example in page
        if "-d" in words:
            assert isinstance(json.loads(words[words.index("-d") + 1]), dict | list)


def test_fields_within_fields_have_their_kind_and_what_is_taken_for_them(actor: Any) -> None:
    invite = next(
        operation
        for operation in list_operations()
        if (operation.method, operation.path) == ("POST", "/api/v1/people/invitations")
    )
    fields = {operation.name: operation for operation in invite.parameters}
    assert (fields["email"].location, fields["email"].kind, fields["email"].required) == (
        "body",
        "text",
        True,
    )
    assert '"team_leader"' in fields["role"].kind
    make = next(
        operation
        for operation in list_operations()
        if (operation.method, operation.path) == ("GET", "/api/v1/administrations/bulk")
    )
    assert "[].counts.changed" in [one.name for one in make.response_fields]


@pytest.mark.parametrize(
    ("words", "has_results"), [("trial-balance", True), ("STATED", True), ("no such thing", False)]
)
def test_it_is_searched_without_scripts_too(actor: Any, words: str, has_results: bool) -> None:
    page = signed_in(actor("reader")).get(PAGE, {"q": words}).content.decode()
    assert ("trial-balance" in page.partition('class="reference-body"')[2]) == has_results
    assert ("No operations found" in page) != has_results


def test_nothing_of_it_comes_from_elsewhere(actor: Any) -> None:
    answer = signed_in(actor("reader")).get(PAGE)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "cdn" not in answer.content.decode().lower()
