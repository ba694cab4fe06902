"""Every advisory lock has a name and a sentence in `koppel.kit.database.locks`, and no two locks share a
key.
"""

import ast
import inspect
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koppel.kit.database import locks
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.database.locks import LockName, lock_key

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "packages" / "koppel" / "src" / "koppel" / "kit" / "database" / "locks.py"
FOLDERS = ("packages", "tests", "bench")
SUFFIXES = (".py", ".sql", ".html", ".js")
ATTACKS = (ROOT / "tests/books/test_sql_reader_attacks.py", ROOT / "bench/T1_malicious_tenant.py")
"""A reader who calls them is refused."""
FUNCTIONS = ("pg_advisory_", "pg_try_advisory_")
ID_MAX = 2**63 - 1


def test_nothing_but_the_kit_calls_the_functions_of_advisory_locks() -> None:
    callers = [
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in SUFFIXES and path not in (LOCKS, *ATTACKS, Path(__file__).resolve())
        if any(function in path.read_text(encoding="utf-8") for function in FUNCTIONS)
    ]
    assert callers == []


@pytest.mark.usefixtures("django_db_setup")
def test_no_function_in_the_database_takes_one(database_addresses: Addresses) -> None:
    with psycopg.connect(database_addresses.owner_url) as connection:
        functions = connection.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace "
            "AND prosrc ~ 'pg_(try_)?advisory_'"
        ).fetchall()
    assert functions == []


def test_each_name_says_who_takes_it_and_what_it_protects() -> None:
    body = ast.parse(inspect.getsource(LockName)).body[0]
    assert isinstance(body, ast.ClassDef)
    statements = body.body[1:]  # after the docstring of the class
    assignments = [node for node in statements if isinstance(node, ast.Assign)]
    names = [target.id for node in assignments for target in node.targets if isinstance(target, ast.Name)]
    assert names == list(LockName.__members__)
    for name, sentence in zip(statements[::2], statements[1::2], strict=True):
        assert isinstance(name, ast.Assign)
        assert isinstance(sentence, ast.Expr)
        assert isinstance(sentence.value, ast.Constant)
        assert str(sentence.value.value).startswith(("Id: ", "Ids: ")), ast.unparse(name)


@given(st.sampled_from(LockName), st.lists(st.integers(0, ID_MAX), max_size=2))
def test_a_key_is_a_bigint(name: LockName, ids: list[int]) -> None:
    assert -(2**63) <= lock_key(name, *ids) < 2**63


def test_neither_names_nor_large_ids_collide() -> None:
    """Ids that agree in their lower 16, 31 or 32 bits, as those of two installations do."""
    ids = [
        low + high for low in (1, 2, 7, 2**16 + 1) for high in (0, 2**31, 2**32, 2**40, 4095 * 2**40, 2**48)
    ]
    keys = {lock_key(name, lock_id) for name in LockName for lock_id in ids} | {
        lock_key(name) for name in LockName
    }
    assert len(keys) == len(LockName) * (len(ids) + 1)


def test_a_key_is_the_same_in_every_version() -> None:
    """While one machine is upgraded, another still runs: they must mean the same lock."""
    assert lock_key(LockName.GRANT, 4095 * 2**40 + 7) == 7_682_785_030_083_746_019


def test_two_names_with_one_id_are_two_locks(database_addresses: Addresses) -> None:
    url = database_addresses.app_url
    with psycopg.connect(url) as holder, psycopg.connect(url) as other:
        holder.execute(locks.LOCK_UNTIL_COMMIT_SQL, [lock_key(LockName.IMPORT_START, 2**40 + 1)])
        for name, lock_id, is_free in (
            (LockName.IMPORT_START, 2**40 + 1, False),
            (LockName.IMPORT_START, 2**41 + 1, True),
            (LockName.PREDECESSORS, 2**40 + 1, True),
        ):
            query = f"SELECT {locks.TRY_SESSION_LOCK_SQL}(%s)".encode()
            assert other.execute(query, [lock_key(name, lock_id)]).fetchone() == (is_free,), name
