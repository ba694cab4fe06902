"""SQL obeys the order of imports: a statement names tables and views of its own app and of lower apps.

What a lower app does to rows of a higher one it does through a hook, or with SQL that the higher one passes
in.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps

from koppel.books.models import MODELS_BY_RESOURCE
from tests.architecture.test_foreign_keys import is_koppel_model, may_reference
from tests.fixtures.environment import KOPPEL

VIEWS = {f"books.{name}" for name in (*MODELS_BY_RESOURCE, "administrations")} | {"koppel_readers.reader"}
"""What SQL readers see, and the list of them."""


@cache
def owners() -> dict[str, str]:
    """The app of each table and view."""
    models = [model for model in apps.get_models(include_auto_created=True) if is_koppel_model(model)]
    return dict.fromkeys(VIEWS, "books") | {model._meta.db_table: model._meta.app_label for model in models}


@cache
def _names() -> re.Pattern[str]:
    """A table, also with something behind it: what is made for it, such as a trigger, is called after it."""
    tables = "|".join(map(re.escape, sorted(owners(), key=len, reverse=True)))
    return re.compile(rf"(?<![\w.])(?:public\.)?({tables})(?:_\w+)?(?!\w)")


def tables_in(text: str) -> Iterator[tuple[int, str]]:
    """(line, table) of every text in the code but docstrings."""
    tree = ast.parse(text)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            for match in _names().finditer(node.value):
                yield node.lineno, match[1]


def sources() -> Iterator[tuple[Path, str]]:
    """Each file that belongs to an app, with that app."""
    for file in sorted([*KOPPEL.rglob("*.py"), *KOPPEL.rglob("*.sql")]):
        if len(parts := file.relative_to(KOPPEL).parts) > 1 and parts[0] != "connectors":
            yield file, parts[0]


def tables_of(file: Path) -> Iterator[tuple[int, str]]:
    text = file.read_text()
    return tables_in(text if file.suffix == ".py" else f"STATEMENTS = {text!r}")


def test_sql_names_no_table_of_a_higher_app() -> None:
    wrong = [
        f"{file.relative_to(KOPPEL).as_posix()}:{line} {table}"
        for file, app in sources()
        for line, table in tables_of(file)
        if not may_reference(app, owners()[table])
    ]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "tables"),
    [
        ('QUERY = "SELECT 1 FROM sync_run JOIN audit_entry USING (id)"', ["sync_run", "audit_entry"]),
        ('QUERY = f"SELECT {columns} FROM public.books_entry_line"', ["books_entry_line"]),
        ('"""Rows of sync_run."""', []),
        ('name = "async_runner"', []),
    ],
)
def test_tables_are_found_in_statements(code: str, tables: list[str]) -> None:
    assert [table for _line, table in tables_in(code)] == tables
