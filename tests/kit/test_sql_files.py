"""SQL in files: each statement is found by its name, a file that is malformed is refused, and a wheel brings
the files.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from koppel.kit.database.sql_files import load_statements, parse_statements
from tests.fixtures.environment import PACKAGES

FILE = """-- Rows of a shop.

-- name: list_shops
-- The newest first.
SELECT name, '-- no comment' FROM shop
 -- nor is this one sent
 WHERE state = %(open)s ORDER BY id DESC;

-- name:close_shop
UPDATE {table} SET state = %(closed)s -- at the end of a line it stays
 WHERE id = %(shop)s
"""
LIST = "SELECT name, '-- no comment' FROM shop\n WHERE state = %(open)s ORDER BY id DESC"
CLOSE = "UPDATE {table} SET state = %(closed)s -- at the end of a line it stays\n WHERE id = %(shop)s"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder `sql` of a package `shops`."""
    folder = tmp_path / "shops" / "sql"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    load_statements.cache_clear()
    yield folder
    load_statements.cache_clear()
    sys.modules.pop("shops", None)


def test_statements_are_found_by_name_without_lines_of_comments() -> None:
    assert dict(parse_statements(FILE, "shops.sql")) == {"list_shops": LIST, "close_shop": CLOSE}


def test_a_package_has_the_statements_of_all_its_files(package: Path) -> None:
    (package / "shops.sql").write_text(FILE)
    (package / "orders.sql").write_text("-- name: count_orders\nSELECT count(*) FROM orders\n")
    (package / "README").write_text("no SQL")
    assert list(load_statements("shops")) == ["count_orders", "list_shops", "close_shop"]


def test_a_name_may_not_stand_twice_in_a_package(package: Path) -> None:
    (package / "shops.sql").write_text(FILE)
    (package / "orders.sql").write_text("-- name: list_shops\nSELECT 1\n")
    with pytest.raises(ValueError, match=r"shops, shops\.sql: the name 'list_shops' stands twice"):
        load_statements("shops")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT 1;\n-- name: one_row\nSELECT 1\n", "SQL stands before the first name"),
        ("-- name: List Shops\nSELECT 1\n", "'List Shops' is no name of a statement"),
        ("-- name:\nSELECT 1\n", "'' is no name of a statement"),
        ("-- name: list_shops\n-- nothing yet\n;\n", "the statement 'list_shops' is empty"),
    ],
)
def test_a_malformed_file_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^shops\.sql: {message}"):
        list(parse_statements(text, "shops.sql"))


@pytest.mark.parametrize("distribution", ["koppel", "koppel-sandbox"])
def test_a_wheel_brings_the_files(distribution: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()  # Koppel's wheel brings the documentation
    tree = tmp_path / "packages" / distribution
    tree.mkdir(parents=True)
    shutil.copy(PACKAGES / distribution / "pyproject.toml", tree)
    module = distribution.replace("-", "_")
    folder = tree / "src" / module / "shops" / "sql"
    folder.mkdir(parents=True)
    (folder / "shops.sql").write_text(FILE)
    packaged = [file.distribution_path for file in WheelBuilder(str(tree)).recurse_included_files()]
    assert packaged == [f"{module}/shops/sql/shops.sql"]
