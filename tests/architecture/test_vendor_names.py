"""A vendor's name stays inside its connector, its sandbox and the demo's configuration."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.environment import KOPPEL, SANDBOX

WORD = "visma"
AT_HOME = ("koppel/connectors/visma_net/", "koppel_sandbox/visma_net/", "koppel/cli/demo/")

EXCEPTIONS = {
    # The sandbox's entry point has to name the one vendor it can play.
    "koppel_sandbox/__main__.py",
    # A comment gives the source of a time limit; it goes when the limit moves to the connector.
    "koppel/kit/http/client.py",
}


def test_the_word_stays_at_home() -> None:
    assert {file for package in (KOPPEL, SANDBOX) for file in files_with_word(package.parent)} == EXCEPTIONS, (
        "An exception that is no longer needed is taken off the list."
    )


@pytest.mark.parametrize("path", ["koppel/sync/engine/run_reader.py", "koppel/web/templates/web/page.html"])
def test_the_word_is_found_in_code_and_in_templates(tmp_path: Path, path: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text("Sign in at Visma.net\n")
    assert list(files_with_word(tmp_path)) == [path]


def test_the_word_is_found_in_a_file_name(tmp_path: Path) -> None:
    (tmp_path / "koppel").mkdir()
    (tmp_path / "koppel" / "visma.svg").touch()
    assert list(files_with_word(tmp_path)) == ["koppel/visma.svg"]


def files_with_word(source: Path) -> Iterator[str]:
    """Files, relative to `source`, in whose name or text the word stands although they are not its home."""
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source).as_posix()
        if not file.is_file() or "__pycache__" in name or file.suffix == ".mo" or name.startswith(AT_HOME):
            continue
        if WORD in name.lower() or WORD.encode() in file.read_bytes().lower():
            yield name
