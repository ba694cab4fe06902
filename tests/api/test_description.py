"""The OpenAPI description, tested against the API: schemathesis makes valid and invalid calls."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from ninja import Schema
from schemathesis import checks
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from koppel.kit.tenancy import organisation_scope
from koppel.organisations.access import api_tokens
from tests.web.factories import World, build_world

CALLS_PER_OPERATION = 20
CHECKS = [checks.not_a_server_error, response_schema_conformance, content_type_conformance]


@dataclass(frozen=True)
class Program:
    """A client program with an Administrator's token."""

    schema: Any
    headers: dict[str, str]


@pytest.fixture
def program(actor: Any, settings: Any) -> Program:
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    world: World = build_world(actor)
    with organisation_scope(world.admin.organisation_id):
        _token, secret = api_tokens.create_token(
            world.admin, name="schemathesis", days=30, role=None, read_only=False
        )
    headers = {"Authorization": f"Bearer {secret.reveal()}"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", WSGIHandler(), headers=headers)
    return Program(schema, headers)


@pytest.mark.timeout(300)
def test_no_call_that_the_description_allows_breaks_the_server(program: Program) -> None:
    """Nor one that it does not: numbers out of range, NUL in texts, wrong types."""
    operations = [one.ok() for one in program.schema.get_all_operations()]
    assert len(operations) > 5
    for operation in operations:
        call_many(program, operation)


def call_many(program: Program, operation: Any) -> None:
    cases = st.one_of(
        operation.as_strategy(),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE),
    )

    @hypothesis_settings(
        max_examples=CALLS_PER_OPERATION,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def call(case: Any) -> None:
        case.call_and_validate(headers=program.headers, checks=CHECKS)

    call()


@pytest.mark.usefixtures("program")
def test_no_two_objects_of_the_description_have_one_name() -> None:
    """A second class of a name would take the place of the first in the description, and be published for
    both.
    """
    classes = {schema for schema in subclasses(Schema) if schema.__module__.startswith("koppel.")}
    assert len(classes) > 50
    names = Counter(schema.__name__ for schema in classes)
    assert [name for name, count in sorted(names.items()) if count > 1] == []


def subclasses(base: type) -> Iterator[type]:
    for schema in base.__subclasses__():
        yield schema
        yield from subclasses(schema)


def test_every_operation_says_in_words_what_it_does(program: Program) -> None:
    described = json.loads(json.dumps(program.schema.raw_schema))
    silent = [
        f"{method.upper()} {path}"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
        if not operation.get("description")
    ]
    assert silent == []
