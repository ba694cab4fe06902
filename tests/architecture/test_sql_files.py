"""Packages that keep their SQL in files have it there: named, used, without words of states, and understood
by PostgreSQL.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import models

from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.sql_files import load_statements
from tests.architecture.test_foreign_keys import is_koppel_model
from tests.fixtures.environment import KOPPEL

PACKAGES = {
    f"koppel.{file.parent.relative_to(KOPPEL).as_posix().replace('/', '.')}"
    for file in KOPPEL.rglob("sql")
    if file.is_dir()
}
KEPT_IN_PYTHON = {
    "books/sql_access/readers.py": "names of roles and databases are quoted by psycopg",
    "books/sql_access/privileges.py": "shown to a person, who runs it",
}
STATEMENT = re.compile(
    r"\s*(SELECT|INSERT INTO|UPDATE \w+ (\w+ )?SET|DELETE FROM|WITH \w+ AS|COPY|"
    r"(CREATE|DROP|ALTER) (TABLE|TEMP|VIEW|SCHEMA|ROLE))\b"
)
PREPARED = re.compile(r"(SELECT|WITH|INSERT|UPDATE|DELETE)\b")
PARAMETER = re.compile(r"%\((\w+)\)[sbt]")
STATE_FIELDS = {"state", "status", "trigger"}


def folder_of(package: str) -> Path:
    return KOPPEL.joinpath(*package.split(".")[1:])


def sources(package: str) -> Iterator[Path]:
    yield from (file for file in folder_of(package).rglob("*.py") if "migrations" not in file.parts)


def names_used(source: str, package: str) -> set[str]:
    """The names by which a module asks for statements of the package: `_SQL["name"]`, or of the call
    itself.
    """
    tree = ast.parse(source)
    loaded = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _loads(node.value, package)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {
        node.slice.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript)
        and ((isinstance(node.value, ast.Name) and node.value.id in loaded) or _loads(node.value, package))
        and isinstance(node.slice, ast.Constant)
    }


def texts_in(source: str) -> Iterator[str]:
    """Each text of a module, for a name may be handed on to what sends the statement."""
    yield from (
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _loads(node: ast.expr, package: str) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "load_statements"
        and [argument.value for argument in node.args if isinstance(argument, ast.Constant)] == [package]
    )


def statements_in(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each text in a module that is SQL."""
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        if is_text and STATEMENT.match(node.value):
            yield node.lineno, node.value


@cache
def state_words() -> frozenset[str]:
    """The values of the states, statuses and triggers of all models."""
    fields = (
        field
        for model in apps.get_models()
        if is_koppel_model(model)
        for field in model._meta.concrete_fields
    )
    return frozenset(
        str(value)
        for field in fields
        if isinstance(field, models.CharField) and field.name in STATE_FIELDS
        for value, _label in field.flatchoices
    )


def test_the_engine_and_the_books_have_files() -> None:
    assert {"koppel.sync", "koppel.books"} <= PACKAGES


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_each_statement_is_used_and_each_name_is_there(package: str) -> None:
    modules = [text for file in sources(package) if "load_statements(" in (text := file.read_text())]
    named = {name for module in modules for name in names_used(module, package)}
    assert named - set(load_statements(package)) == set(), "no file has them"
    assert (
        set(load_statements(package)) - {text for module in modules for text in texts_in(module)} == set()
    ), "unused"


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_statement_stands_in_python(package: str) -> None:
    wrong = [
        f"{name}:{line} {' '.join(text.split())[:60]}"
        for file in sources(package)
        if (name := file.relative_to(KOPPEL).as_posix()) not in KEPT_IN_PYTHON
        for line, text in statements_in(file.read_text())
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_statement_has_the_word_of_a_state(package: str) -> None:
    assert {"queued", "running", "removed"} <= state_words()
    wrong = {
        f"{name}: {word}"
        for name, statement in load_statements(package).items()
        for word in re.findall(r"'([^']+)'", statement)
        if word in state_words()
    }
    assert wrong == set()


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_postgresql_understands_each_statement(
    package: str, clean_database: None, database_addresses: Addresses
) -> None:
    """Those that are whole: where parts are filled in, the tests of what sends them are the proof."""
    whole = {
        name: statement
        for name, statement in load_statements(package).items()
        if "{" not in statement and PREPARED.match(statement)
    }
    assert whole
    with psycopg.connect(database_addresses.owner_url, autocommit=True) as connection:
        refused = {
            name: error for name, statement in whole.items() if (error := refusal(connection, statement))
        }
    assert refused == {}


def refusal(connection: psycopg.Connection[tuple[Any, ...]], statement: str) -> str:
    """What PostgreSQL says against a statement, whose parameters it must find the types of by itself; '' if
    nothing.
    """
    names = list(dict.fromkeys(PARAMETER.findall(statement)))
    text = PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", statement).replace("%%", "%")
    try:
        connection.execute(f"PREPARE statement_of_file AS {text}".encode())
    except psycopg.Error as error:
        return str(error)
    connection.execute("DEALLOCATE statement_of_file")
    return ""


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('_SQL = load_statements("koppel.sync")\nrun(_SQL["claim_runs"])', {"claim_runs"}),
        ('run(load_statements("koppel.sync")["claim_runs"])', {"claim_runs"}),
        ('_SQL = load_statements("koppel.books")\nrun(_SQL["claim_runs"])', set()),
        ('run(others["claim_runs"])', set()),
    ],
)
def test_names_are_found_in_modules(source: str, names: set[str]) -> None:
    assert names_used(source, "koppel.sync") == names


@pytest.mark.parametrize(
    "text", ["SELECT 1 FROM a", " UPDATE a SET b = 1", "UPDATE a b SET c = 1", "WITH a AS (SELECT 1)"]
)
def test_statements_are_found_in_modules(text: str) -> None:
    assert list(statements_in(f'"""SELECT nothing."""\nquery({text!r})')) == [(2, text)]
