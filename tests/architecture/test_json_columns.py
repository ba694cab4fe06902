"""Every JSON column has a shape: what is in it is known where it is read, and checked where it is stored."""

import re
from typing import Any, get_args

from django.apps import apps
from django.db import models

from koppel.kit.database.json_fields import TypedJSONField
from tests.fixtures.environment import KOPPEL as PACKAGE

OPEN = {
    "AuditEntry.details": "every action has details of its own, and entries of years ago stay as they were "
    "written",
    "RateLimit.state": "only rate_limits reads and writes it, by SQL, as its QuotaState, "
    "which models may not import",
}
"""Columns whose shape does not say everything, and why."""


def json_columns() -> dict[str, models.JSONField]:
    return {
        f"{model.__name__}.{field.name}": field
        for model in apps.get_models()
        if model.__module__.startswith("koppel.")
        for field in model._meta.get_fields()
        if isinstance(field, models.JSONField)
    }


def test_every_json_column_has_a_shape() -> None:
    columns = json_columns()
    assert len(columns) >= 30
    assert [name for name, field in columns.items() if not isinstance(field, TypedJSONField)] == []


def test_no_model_declares_a_bare_json_column() -> None:
    bare = [
        path for path in PACKAGE.rglob("models.py") if re.search(r"(?<!Typed)JSONField\(", path.read_text())
    ]
    assert bare == []


def test_open_columns_are_listed_with_a_reason() -> None:
    shapes = {
        name: field.shape for name, field in json_columns().items() if isinstance(field, TypedJSONField)
    }
    assert {name for name, shape in shapes.items() if is_open(shape)} == OPEN.keys()


def is_open(shape: Any) -> bool:
    return shape in (Any, object, dict, list) or any(map(is_open, get_args(shape)))
