"""The reference of the API for people: each operation with its parameters, response and an example.

Made from the OpenAPI description alone, so that both always agree.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from django.conf import settings

from koppel.api.v1 import api
from koppel.kit.web import paths

METHODS = ("get", "post", "put", "patch", "delete")
DEPTH_MAX = 3
"""The depth to which nested fields are listed."""
SAMPLES: Mapping[str, Any] = {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}
SAMPLE_TEXTS = {
    "date": "2026-12-31",
    "date-time": "2026-12-31T09:00:00Z",
    "uuid": "6f1d0c1e-8c1b-4c55-9d3e-2f6a7b8c9d0e",
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """`location` is path, query or body; '' in an answer. `default` '' = none."""

    name: str
    location: str
    kind: str
    required: bool = False
    default: str = ""


@dataclass(frozen=True)
class Operation:
    group: str
    method: str
    path: str
    text: str
    parameters: Sequence[Field]
    status: str
    response_fields: Sequence[Field]
    response_kind: str
    example: str

    @property
    def anchor(self) -> str:
        return f"{self.method}-{self.path}".lower().translate(str.maketrans("/{}", "---"))

    @property
    def short_path(self) -> str:
        """The path without what all of them begin with."""
        return self.path.removeprefix(paths.API).partition("/")[2]

    def matches(self, search_text: str) -> bool:
        names = [field.name for field in (*self.parameters, *self.response_fields)]
        return (
            search_text.casefold()
            in " ".join((self.group, self.method, self.path, self.text, *names)).casefold()
        )


@dataclass(frozen=True)
class OperationGroup:
    """Operations on one subject."""

    title: str
    operations: Sequence[Operation]

    @property
    def anchor(self) -> str:
        return f"group-{self.title}".lower().replace(" ", "-")


def group_operations(operations: Iterable[Operation]) -> list[OperationGroup]:
    """Return the operations by subject, in their order."""
    groups = groupby(operations, key=lambda operation: operation.group)
    return [OperationGroup(title.replace("-", " ").capitalize(), list(members)) for title, members in groups]


@cache
def list_operations() -> tuple[Operation, ...]:
    """Return all operations, in the order of the description, group by group."""
    description: Schema = api.get_openapi_schema()
    schemas = _Schemas(description["components"]["schemas"])
    unsorted_operations = [
        _operation(schemas, path, method, operation_schema)
        for path, methods in description["paths"].items()
        for method, operation_schema in methods.items()
        if method in METHODS
    ]
    order = list(dict.fromkeys(operation.group for operation in unsorted_operations))
    return tuple(sorted(unsorted_operations, key=lambda operation: order.index(operation.group)))


def _operation(schemas: "_Schemas", path: str, method: str, operation_schema: Schema) -> Operation:
    parameters = [_parameter(schemas, parameter) for parameter in operation_schema.get("parameters", ())]
    body_schema = _content_schema(operation_schema.get("requestBody", {}))
    fields = [*parameters, *schemas.fields(body_schema, "body")]
    status, response = next(iter(operation_schema["responses"].items()))
    response_schema = _content_schema(response)
    return Operation(
        group=str(operation_schema.get("tags", ["other"])[0]),
        method=method.upper(),
        path=path,
        text=" ".join(str(operation_schema.get("description", "")).split()),
        parameters=fields,
        status=str(status),
        response_fields=list(schemas.fields(response_schema, "")),
        response_kind=schemas.describe_type(response_schema) if response_schema else "",
        example=_example(
            path,
            method,
            operation_schema.get("parameters", ()),
            schemas.sample(body_schema) if body_schema else None,
            schemas,
        ),
    )


def _parameter(schemas: "_Schemas", parameter: Schema) -> Field:
    schema = parameter["schema"]
    default = "" if parameter["required"] else _format_default(schema.get("default"))
    return Field(
        name=parameter["name"],
        location=parameter["in"],
        kind=schemas.describe_type(schema),
        required=parameter["required"],
        default=default,
    )


def _content_schema(part: Schema) -> Schema:
    """Return the schema of a request or answer body; empty without one."""
    media_type: Schema = next(iter(part.get("content", {}).values()), {})
    return dict(media_type.get("schema", {}))


def _format_default(default: Any) -> str:
    return "" if default in (None, "", []) else json.dumps(default, ensure_ascii=False)


def _example(path: str, method: str, parameters: Sequence[Schema], body: Any, schemas: "_Schemas") -> str:
    """Return a `curl` command with made-up values."""
    for parameter in parameters:
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(schemas.sample(parameter["schema"])))
    required = [
        f"{parameter['name']}={schemas.sample(parameter['schema'])}"
        for parameter in parameters
        if parameter["in"] == "query" and parameter["required"]
    ]
    query = f"?{'&'.join(required)}" if required else ""
    lines = [f'curl -H "Authorization: Bearer $KOPPEL_TOKEN" "{settings.PUBLIC_URL}{path}{query}"']
    if method != "get":
        lines[0] = lines[0].replace("curl ", f"curl -X {method.upper()} ")
    if body is not None:
        lines += ['-H "Content-Type: application/json"', f"-d '{json.dumps(body, ensure_ascii=False)}'"]
    return " \\\n  ".join(lines)


class _Schemas:
    """The named schemas of the description, to describe other schemas."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._named = schemas

    def describe_type(self, schema: Schema) -> str:
        """Describe a type in words: `integer`, `list of text`, `date-time or null`."""
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return " or ".join(dict.fromkeys(self.describe_type(option) for option in options))
        if "$ref" in schema or "allOf" in schema:
            target = self._resolve_reference(schema)
            return self.describe_type(target) if "enum" in target else "object"
        if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
            return " | ".join(json.dumps(value) for value in values)
        if schema.get("type") == "array":
            return f"list of {self.describe_type(schema.get('items', {}))}"
        word = str(schema.get("format") or schema.get("type") or "anything")
        return "text" if word == "string" else word

    def fields(self, schema: Schema, location: str, above: str = "", depth: int = 0) -> Iterator[Field]:
        """Return the fields of an object, or of the objects of a list; nested ones have their names before
        the dot.
        """
        owner = self._resolve_reference(schema)
        if owner.get("type") == "array":
            yield from self.fields(owner.get("items", {}), location, f"{above.removesuffix('.')}[].", depth)
            return
        for name, field_schema in owner.get("properties", {}).items() if depth < DEPTH_MAX else ():
            required = name in owner.get("required", ()) and location == "body"
            default = "" if required or location != "body" else _format_default(field_schema.get("default"))
            yield Field(
                name=f"{above}{name}",
                location=location,
                kind=self.describe_type(field_schema),
                required=required,
                default=default,
            )
            yield from self.fields(field_schema, location, f"{above}{name}.", depth + 1)

    def sample(self, schema: Schema) -> Any:
        """Return an example value of a schema: an object's required fields, else its first field."""
        resolved = self._resolve_reference(schema)
        if options := resolved.get("anyOf"):
            return self.sample(options[0])
        if "default" in schema and schema["default"] not in (None, ""):
            return schema["default"]
        if values := resolved.get("enum") or ([resolved["const"]] if "const" in resolved else []):
            return values[0]
        if properties := resolved.get("properties"):
            sampled = [name for name in properties if name in resolved.get("required", ())] or list(
                properties
            )[:1]
            return {name: self.sample(properties[name]) for name in sampled}
        return SAMPLES.get(str(resolved.get("type")), SAMPLE_TEXTS.get(str(resolved.get("format")), "…"))

    def _resolve_reference(self, schema: Schema) -> Schema:
        while "$ref" in schema or "allOf" in schema:
            part = schema if "$ref" in schema else schema["allOf"][0]
            schema = self._named[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        return schema
