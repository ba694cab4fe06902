"""`python -m bench [ID …]`: on standard output one JSON object per figure and line, everything else on standard error."""

import contextlib
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEYS = ("id", "name", "value", "unit", "to_reach", "holds", "compared_with")
MISSED, UNKNOWN = 1, 2


def main(words: Sequence[str]) -> int:
    """0: every figure that has something to reach reaches it. 1: one does not. 2: there is no such benchmark."""
    known = available()
    if unknown := [word for word in words if word not in known]:
        sys.stderr.write(f"There is no benchmark {unknown[0]!r}; there are: {', '.join(known) or 'none yet'}.\n")
        return UNKNOWN
    figures = [figure for name in words or known for figure in measured(name)]
    return MISSED if any(figure["holds"] is False for figure in figures) else 0


def available(folder: Path = Path(__file__).parent) -> list[str]:
    """Ids: the names of this folder's modules, but for those that begin with an underscore."""
    return sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_"))


def measured(name: str) -> list[dict[str, Any]]:
    """Run one benchmark and print its figures. Raises `ValueError` when one is not of the agreed form."""
    sys.stderr.write(f"{name} …\n")
    with contextlib.redirect_stdout(sys.stderr):
        figures = [complete(name, figure) for figure in importlib.import_module(f"bench.{name}").run()]
    for figure in figures:
        sys.stdout.write(json.dumps(figure, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return figures


def complete(name: str, figure: dict[str, Any]) -> dict[str, Any]:
    """All keys in order. What has nothing to reach neither holds nor fails: `holds` is null."""
    found = {"id": name, "to_reach": None, "holds": None, "compared_with": None} | figure
    if set(found) != set(KEYS) or (found["to_reach"] is None) != (found["holds"] is None):
        raise ValueError(f"A figure of {name} is not of the form that bench/README.md describes: {figure}")
    return {key: found[key] for key in KEYS}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
