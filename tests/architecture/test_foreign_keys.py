"""References between apps that imports do not show: foreign keys, also those given as text."""

import tomllib

import pytest
from django.apps import apps
from django.db import models

from tests.fixtures.environment import KOPPEL, REPOSITORY

BESIDE_THE_ORDER = {"connectors"}
"""Held by contracts of their own."""
MODULES = {"urls"}
"""In the order, but no folders."""


def layers() -> list[set[str]]:
    """Names of the parts as import-linter knows them, lowest first."""
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    lines = next(contract["layers"] for contract in settings["contracts"] if contract["type"] == "layers")
    return [{part.strip().removeprefix("koppel.") for part in line.split("|")} for line in reversed(lines)]


def layer_number(part: str) -> int:
    return next(number for number, names in enumerate(layers()) if part in names)


def may_reference(source: str, target: str) -> bool:
    """Whether `source` may know `target`: itself, or what stands lower."""
    return source == target or layer_number(target) < layer_number(source)


@pytest.mark.parametrize(
    ("source", "target", "may"),
    [
        ("sync", "administrations", True),
        ("sync", "sync", True),
        ("administrations", "sync", False),
        ("issues", "notifications", False),
        ("web", "api", False),
    ],
)
def test_the_order_is_read_as_it_is_written(source: str, target: str, may: bool) -> None:
    assert may_reference(source, target) is may


def test_every_folder_stands_in_the_order() -> None:
    folders = {path.parent.name for path in KOPPEL.glob("*/__init__.py")}
    assert folders - BESIDE_THE_ORDER == set().union(*layers()) - MODULES


def test_no_foreign_key_points_up() -> None:
    wrong = [
        f"{model._meta.label}.{field.name} -> {target._meta.label}"
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if field.is_relation and not field.auto_created
        for target in [field.related_model]
        if isinstance(target, type) and issubclass(target, models.Model)
        if is_koppel_model(model) and is_koppel_model(target)
        if not may_reference(model._meta.app_label, target._meta.app_label)
    ]
    assert wrong == []


def is_koppel_model(model: type[models.Model]) -> bool:
    return model.__module__.startswith("koppel.")


def test_a_models_table_begins_with_its_slice() -> None:
    wrong = [
        model._meta.db_table
        for model in apps.get_models(include_auto_created=True)
        if is_koppel_model(model) and not model._meta.db_table.startswith(f"{model._meta.app_label}_")
    ]
    assert wrong == []
