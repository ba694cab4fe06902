"""A vendor's name stays inside its connector, its sandbox and the demo's configuration; a planned one in the
list of those.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from koppel.onboarding.views.start import PLANNED_SYSTEMS
from tests.fixtures.environment import KOPPEL, SANDBOX

CONNECTORS = sorted(
    folder.name for folder in (KOPPEL / "connectors").iterdir() if (folder / "descriptor.py").exists()
)
INSTALLED = sorted({name.partition("_")[0] for name in CONNECTORS})
PLANNED = sorted(title.lower() for title in PLANNED_SYSTEMS)
AT_HOME = (
    *(f"{root}/{name}/" for name in CONNECTORS for root in ("koppel/connectors", "koppel_sandbox")),
    "koppel/cli/demo/",
)

EXCEPTIONS = {
    # The sandbox's entry point has to name the one vendor it can play.
    "koppel_sandbox/__main__.py",
    # A comment gives the source of a time limit; it goes when the limit moves to the connector.
    "koppel/kit/http/client.py",
}
PLANNED_EXCEPTIONS = {
    # The list of what is planned.
    "koppel/onboarding/views/start.py",
}


@pytest.mark.parametrize(("words", "exceptions"), [(INSTALLED, EXCEPTIONS), (PLANNED, PLANNED_EXCEPTIONS)])
def test_vendor_names_stay_in_their_packages(words: list[str], exceptions: set[str]) -> None:
    assert words
    files = {file for package in (KOPPEL, SANDBOX) for file in files_with_word(package.parent, words)}
    assert files == exceptions, "An exception that is no longer needed is taken off the list."


@pytest.mark.parametrize("path", ["koppel/sync/engine/run_reader.py", "koppel/web/templates/web/page.html"])
def test_the_word_is_found_in_code_and_in_templates(tmp_path: Path, path: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text("Sign in at Visma.net\n")
    assert list(files_with_word(tmp_path, ["visma"])) == [path]


def test_the_word_is_found_in_a_file_name(tmp_path: Path) -> None:
    (tmp_path / "koppel").mkdir()
    (tmp_path / "koppel" / "visma.svg").touch()
    assert list(files_with_word(tmp_path, ["visma"])) == ["koppel/visma.svg"]


def files_with_word(source: Path, words: Sequence[str]) -> Iterator[str]:
    """Files, relative to `source`, whose name or text has one of the words although they are not its home."""
    pattern = re.compile("|".join(rf"(?<![a-z]){word}" for word in words))
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source).as_posix()
        if not file.is_file() or "__pycache__" in name or file.suffix == ".mo" or name.startswith(AT_HOME):
            continue
        if pattern.search(name.lower()) or pattern.search(file.read_bytes().decode(errors="ignore").lower()):
            yield name
