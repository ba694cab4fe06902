"""A run ends with one sentence on the tests that it skipped; every test is skipped with a reason that the
sentence can use.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.environment import REPOSITORY
from tests.fixtures.requirements import skip_summary

SKIPS_ITSELF = {"tests/fixtures/requirements.py"}
WAYS_TO_SKIP = {"skip", "skipif", "skipUnless", "skipIf", "SkipTest", "importorskip"}


@pytest.mark.parametrize(
    ("reasons", "sentence"),
    [
        ([], ""),
        (["needs gettext"], "1 test was skipped: 1 needs gettext; `make setup-tests` installs it."),
        (
            ["needs gettext", *["needs Chromium"] * 2],
            "3 tests were skipped: 2 need Chromium, 1 needs gettext; `make setup-tests` installs both.",
        ),
        (
            ["needs gettext", "needs root"],
            "2 tests were skipped: 1 needs gettext, 1 needs root; `make setup-tests` installs gettext.",
        ),
        (["needs root"] * 2, "2 tests were skipped: 2 need root."),
        (["not on Mars"], '1 test was skipped: 1 says "not on Mars".'),
    ],
)
def test_the_sentence_groups_reasons_and_says_how_to_get_what_is_missing(
    reasons: list[str], sentence: str
) -> None:
    assert skip_summary(reasons) == sentence


def test_the_sentence_names_what_can_be_installed_when_something_else_is_missing_too() -> None:
    sentence = skip_summary(["needs root", "needs iproute2", "needs gettext", "needs Chromium"])
    assert sentence.endswith("; `make setup-tests` installs Chromium, gettext and iproute2.")


TESTS = """
import pytest
from tests.fixtures.requirements import skip_without

@pytest.fixture(scope="module")
def browser():
    skip_without("Chromium")

def test_page(browser): ...
def test_other_page(browser): ...
def test_translation(): skip_without("gettext")
def test_sum(): assert 1 + 1 == 2
"""
SENTENCE = "3 tests were skipped: 2 need Chromium, 1 needs gettext; `make setup-tests` installs both."


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_sentence_is_the_last_line(tmp_path: Path, workers: tuple[str, ...]) -> None:
    status, lines = run_tests(tmp_path, TESTS, *workers)
    assert (status, lines[-1]) == (0, SENTENCE)
    assert "1 passed, 3 skipped" in lines[-2]


def test_without_skipped_tests_there_is_no_sentence(tmp_path: Path) -> None:
    status, lines = run_tests(tmp_path, "def test_sum(): ...")
    assert (status, len(lines)) == (0, 2), lines
    assert lines[-1].startswith("1 passed")


def test_under_ci_a_missing_requirement_fails(tmp_path: Path) -> None:
    status, lines = run_tests(tmp_path, TESTS, CI="1")
    assert (status, lines[-1].partition(" in ")[0]) == (1, "1 failed, 1 passed, 2 errors")


def test_under_ci_a_test_may_lack_what_is_listed(tmp_path: Path) -> None:
    status, lines = run_tests(tmp_path, TESTS, CI="1", TESTS_MAY_LACK="gettext, Chromium")
    assert (status, lines[-1]) == (0, SENTENCE)


def run_tests(folder: Path, source: str, *arguments: str, **variables: str) -> tuple[int, list[str]]:
    """Exit status and printed lines of a pytest that has the plugin and none of this repository's
    settings.
    """
    (folder / "test_example.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.fixtures.requirements",
        "-p",
        "xdist.plugin",
    ]
    inherited = {
        name: text for name, text in os.environ.items() if not name.startswith(("PYTEST", "CI", "TESTS_"))
    }
    environment = {
        **inherited,
        "PYTHONPATH": str(REPOSITORY),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        **variables,
    }
    completed = subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return completed.returncode, completed.stdout.splitlines()


def test_a_test_is_skipped_by_naming_what_it_needs() -> None:
    beside_code = (REPOSITORY / "packages").rglob("test_*.py")
    files = [REPOSITORY / "conftest.py", *(REPOSITORY / "tests").rglob("*.py"), *beside_code]
    skipping = {
        f"{path}:{line}"
        for file in files
        if (path := file.relative_to(REPOSITORY).as_posix()) not in SKIPS_ITSELF
        for line in find_skips(file.read_text(encoding="utf-8"))
    }
    assert skipping == set(), "Call tests.fixtures.requirements.skip_without."


@pytest.mark.parametrize(
    "source",
    [
        'pytest.skip("no browser")',
        '@pytest.mark.skipif(True, reason="no browser")\ndef test(): ...',
        "@pytest.mark.skip\ndef test(): ...",
        'lxml = pytest.importorskip("lxml")',
        "from pytest import skip",
        "from unittest import SkipTest",
    ],
)
def test_a_way_to_skip_is_noticed(source: str) -> None:
    assert list(find_skips(source)) == [1]


def find_skips(source: str) -> Iterator[int]:
    """Lines on which a test is skipped by pytest's or unittest's own means."""
    if not re.search(r"\.skip|importorskip|SkipTest|import .*skip", source):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in ("pytest", "unittest"):
            names = {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value).startswith(("pytest", "unittest")):
            names = {node.attr}
        else:
            continue
        if names & WAYS_TO_SKIP:
            yield node.lineno
