"""A vendor's name stays inside its connector, its sandbox and the demo's configuration."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from koppel.onboarding.views.start import PLANNED_SYSTEMS
from tests.fixtures.environment import KOPPEL, SANDBOX

CONNECTOR_FOLDERS = sorted(file.parent.name for file in (KOPPEL / "connectors").glob("*/connector.py"))
PLANNED = {name.lower() for name in PLANNED_SYSTEMS}
AT_HOME = (
    *(f"{parent}/{folder}/" for folder in CONNECTOR_FOLDERS for parent in ("koppel/connectors", "koppel_sandbox")),
    "koppel/cli/demo/",
)

EXCEPTIONS = {
    # The sandbox's entry point has to name the one vendor it can play.
    "koppel_sandbox/__main__.py",
    # The wizard lists the systems that are planned.
    "koppel/onboarding/views/start.py",
    # A comment gives the source of a time limit; it goes when the limit moves to the connector.
    "koppel/kit/http/client.py",
}


def vendor_word(folder: str) -> str:
    """What a vendor is called: its planned name, else the first word of its connector's folder."""
    name = folder.replace("_", " ")
    return name if name in PLANNED else name.split()[0]


WORDS = sorted({*map(vendor_word, CONNECTOR_FOLDERS), *PLANNED})


def test_each_connector_and_each_planned_system_has_a_word() -> None:
    assert {"visma", "twinfield"} <= set(WORDS)
    assert vendor_word("exact_online") == "exact online", "'exact' alone is a word of English"


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
    """Files, relative to `source`, in whose name or text a vendor's name stands although they are not its home."""
    for file in sorted(source.rglob("*")):
        name = file.relative_to(source).as_posix()
        if not file.is_file() or "__pycache__" in name or file.suffix == ".mo" or name.startswith(AT_HOME):
            continue
        text = name.lower().encode() + b"\n" + file.read_bytes().lower()
        if any(word.encode() in text for word in WORDS):
            yield name
