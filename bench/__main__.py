"""`python -m bench [--keep] [ID …]`: print one JSON object per figure and line on standard output.

Everything else goes to standard error. Each figure is compared with the one committed last, in
`results.jsonl`; `--keep` writes the new ones there.
"""

import contextlib
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KEYS = ("id", "name", "value", "unit", "to_reach", "holds", "compared_with", "last", "times_last")
# Not 1, which a traceback ends with.
MISSED, UNKNOWN = 3, 2
KEEP = "--keep"
NOTHING: Mapping[tuple[str, str], float] = {}
RESULTS = Path(__file__).parent / "results.jsonl"


def main(words: Sequence[str]) -> int:
    """Return 0 if every figure meets its target, 3 if one does not, 2 for an unknown benchmark."""
    existing, names = available(), [word for word in words if word != KEEP]
    if unknown := [word for word in names if word not in existing]:
        sys.stderr.write(
            f"There is no benchmark {unknown[0]!r}; there are: {', '.join(existing) or 'none yet'}.\n"
        )
        return UNKNOWN
    chosen = names or existing
    run_benchmark = measured if len(chosen) == 1 else measured_apart
    figures = [figure for name in chosen for figure in run_benchmark(name)]
    if KEEP in words:
        store_figures(figures)
    return MISSED if any(figure["holds"] is False for figure in figures) else 0


def available(folder: Path = Path(__file__).parent) -> list[str]:
    """Return the ids of the benchmarks: the prefixes of module names without a leading underscore."""
    return sorted(modules(folder))


def modules(folder: Path = Path(__file__).parent) -> dict[str, str]:
    """Return the module of each id: `P1` is measured by `P1_first_import`."""
    files = [file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")]
    return {(match[0] if (match := re.match(r"[A-Z]\d+(?=_)", stem)) else stem): stem for stem in files}


def measured_apart(name: str) -> list[dict[str, Any]]:
    """Do the same as `measured` in a separate process, as a process is bound to one database."""
    command = [sys.executable, "-m", "bench", name]
    process = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, cwd=Path(__file__).parent.parent
    )
    if process.returncode not in (0, MISSED):
        raise RuntimeError(f"The benchmark {name} ended with {process.returncode}.")
    sys.stdout.write(process.stdout)
    sys.stdout.flush()
    return [json.loads(line) for line in process.stdout.splitlines()]


def measured(name: str) -> list[dict[str, Any]]:
    """Run one benchmark and print its figures.

    Raises `ValueError` for a figure of the wrong form.
    """
    sys.stderr.write(f"{name} …\n")
    with contextlib.redirect_stdout(sys.stderr):
        figures = [
            complete(name, figure, stored_figures())
            for figure in importlib.import_module(f"bench.{modules().get(name, name)}").run()
        ]
    for figure in figures:
        sys.stdout.write(json.dumps(figure, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return figures


def complete(
    name: str, figure: dict[str, Any], last: Mapping[tuple[str, str], float] = NOTHING
) -> dict[str, Any]:
    """Return all keys in order; `holds` is null for a figure without a target."""
    before = last.get((name, str(figure.get("name"))))
    times = round(figure["value"] / before, 2) if before and "value" in figure else None
    entry = {"id": name, "to_reach": None, "holds": None, "compared_with": None} | figure
    entry |= {"last": before, "times_last": times}
    if set(entry) != set(KEYS) or (entry["to_reach"] is None) != (entry["holds"] is None):
        raise ValueError(f"A figure of {name} is not of the form that bench/README.md describes: {figure}")
    return {key: entry[key] for key in KEYS}


def stored_figures() -> dict[tuple[str, str], float]:
    """Return the figures committed last, by id and name."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {(one["id"], one["name"]): one["value"] for one in map(json.loads, lines)}


def store_figures(figures: Sequence[Mapping[str, Any]]) -> None:
    """Replace these figures in the committed ones; the others are kept."""
    new = {(one["id"], one["name"]): one["value"] for one in figures}
    measured_again = {one["id"] for one in figures}
    figures_by_key = {
        key: value for key, value in stored_figures().items() if key[0] not in measured_again
    } | new
    lines = [
        json.dumps({"id": key[0], "name": key[1], "value": value})
        for key, value in sorted(figures_by_key.items())
    ]
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
