"""Imports stand at the top of their file, where import-linter and a reader see them."""

import ast
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fixtures.environment import KOPPEL

HEAVY_LIBRARIES = {"xlsxwriter", "pyarrow", "pyarrow.parquet"}
"""Only who exports a table pays for them."""


def modules(pattern: str = "*.py") -> list[tuple[str, ast.Module]]:
    """Each file of Koppel, or each that matches, with its syntax."""
    return [
        (file.relative_to(KOPPEL).as_posix(), ast.parse(file.read_text()))
        for file in sorted(KOPPEL.rglob(pattern))
    ]


def late_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, module) of imports within a function, or for the type checker alone."""
    for node in ast.walk(tree):
        is_late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_late or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            for child in ast.walk(node):
                if isinstance(child, ast.Import):
                    yield from ((child.lineno, alias.name) for alias in child.names)
                elif isinstance(child, ast.ImportFrom):
                    yield from ((child.lineno, f"{child.module}.{alias.name}") for alias in child.names)


def may_be_late(location: str, name: str) -> bool:
    """A heavy library; or the wiring of an app, which `AppConfig.ready` imports when all models are there."""
    app = Path(location).parent.name
    return name in HEAVY_LIBRARIES or (Path(location).name == "apps.py" and name == f"koppel.{app}.wiring")


def test_imports_stand_at_the_top() -> None:
    wrong = [
        f"{location}:{line} {name}"
        for location, tree in modules()
        for line, name in late_imports(tree)
        if not may_be_late(location, name)
    ]
    assert wrong == [], "\n".join(wrong)


def test_an_app_is_wired_by_one_import() -> None:
    counts = {location: len(list(late_imports(tree))) for location, tree in modules("apps.py")}
    assert "books/apps.py" in counts
    assert {location: count for location, count in counts.items() if count > 1} == {}


def test_modules_that_are_loaded_by_name_exist() -> None:
    names = {
        node.value
        for _location, tree in modules("cli/**/*.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("koppel.")
    }
    assert "koppel.cli.preparation" in names
    assert {
        name for name in names - {"koppel.settings"} if find_spec(name.partition(":")[0]) is None
    } == set()


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("def work():\n    import pyarrow", ["pyarrow"]),
        ("async def work():\n    from koppel import cli", ["koppel.cli"]),
        ("if TYPE_CHECKING:\n    from django.db import models", ["django.db.models"]),
        ("import json", []),
    ],
)
def test_an_import_is_found_where_it_hides(code: str, names: list[str]) -> None:
    assert [name for _line, name in late_imports(ast.parse(code))] == names
