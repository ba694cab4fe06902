"""Code that normalises does not change without its version, so that stored rows are read again."""

import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from koppel.connector import source_digest as digests
from koppel.connector.conformance import ConformanceError, check_normalising
from koppel.connectors.visma_net import normalise
from koppel.connectors.visma_net.connector import VismaNet

STORED = Path(__file__).with_name("normalisation_versions.txt")
FUNCTIONS: dict[str, Callable[..., Any]] = {**normalise.NORMALISERS, "entry_lines": normalise.entry_line}


def test_a_normaliser_changes_together_with_its_version() -> None:
    stored = dict(line.split(" ", 1) for line in STORED.read_text().splitlines())
    now = {
        resource: f"{version} {digests.source_digest(FUNCTIONS[resource])}"
        for resource, version in normalise.VERSIONS.items()
    }
    changed = [f"{resource} {now[resource]}" for resource in now if stored.get(resource) != now[resource]]
    assert not changed, (
        "Raise the version in normalise.VERSIONS if equal bytes may give another row, and store in "
        f"{STORED.name} these lines:\n" + "\n".join(changed)
    )
    assert set(stored) == set(now)


CODE = """
from sample.rows import Row
LIMIT = 5
def _clean(text):
    return text.strip()[:LIMIT]
def normaliser(raw):
    return Row(_clean(raw))
def other(raw):
    return raw
"""
ROW = "class Row:\n    name: str\n"


def test_the_digest_follows_helpers_and_columns_but_no_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(code: str, row: str = ROW) -> str:
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        (folder / "sample").mkdir()
        (folder / "sample" / "rows.py").write_text(row)
        (folder / "sample" / "mapping.py").write_text(code)
        digests._definitions.cache_clear()
        for name in ("sample", "sample.rows", "sample.mapping"):
            sys.modules.pop(name, None)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            return digests.source_digest(importlib.import_module("sample.mapping").normaliser)

    first = digest(CODE)
    documented = CODE.replace("(raw):\n", '(raw):\n    """Say what it does."""  # and why\n')
    assert digest(documented) == digest(CODE.replace("    return raw\n", "    return 1\n")) == first
    changed = [
        digest(CODE.replace("strip()", "lower()")),
        digest(CODE.replace("5", "6")),
        digest(CODE, f"{ROW}    number: str\n"),
    ]
    assert len({first, *changed}) == 4


def test_a_connector_without_a_version_is_found() -> None:
    class Unversioned(VismaNet):
        @property
        def normalisation_versions(self) -> dict[str, int]:
            return {**normalise.VERSIONS, "accounts": 0}

    with pytest.raises(ConformanceError, match="C19: accounts has the version 0"):
        check_normalising(Unversioned(), {})
