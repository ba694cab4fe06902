"""Files built at installation, and whether they match the sources: compiled texts, and static files named by
a hash of their content.

`koppel.web.build` builds them; programs only read them, so that they run from a read-only tree. Needs the
standard library alone, because the wheel's build uses it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2]
STATIC_SOURCE = SOURCE / "web" / "static"
COLLECTED = SOURCE / "web" / "staticfiles"
SOURCES_FILE = "sources.json"
OWN_FILES = "koppel"
PACKAGES = ("django", "django-allauth", "django-htmx", "whitenoise")
"""Static files of others come from these, or are made by them."""
UNPACKED_SECONDS = 60
"""An installer unpacks files in any order: one that is older by less than this is not outdated."""

REBUILD_INSTRUCTION = (
    "run `make install` (or `python -m koppel.web.build` in the environment that Koppel runs in), "
    "then start again"
)


def digests_by_group(files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Return a digest per group, the first part of a name: files refer to others of their own group only."""
    sums: dict[str, Any] = {}
    for name, content in sorted(files):
        group = sums.setdefault(group_of(name), hashlib.sha256())
        group.update(f"{name}\0{len(content)}\0".encode() + content)
    return {name: group.hexdigest() for name, group in sums.items()}


def group_of(name: str) -> str:
    return name.partition("/")[0]


def write_digests(folder: Path, current: dict[str, str]) -> None:
    """Write the manifest last, so an interrupted collection has none."""
    text = json.dumps({"digests": current, "packages": _packages()}, indent=1, sort_keys=True)
    (folder / SOURCES_FILE).write_text(text)


def recorded_digests(folder: Path = COLLECTED) -> dict[str, str]:
    """Return the digests of the collected sources; empty when nothing was collected."""
    return dict(_read_sources(folder).get("digests", {}))


def _read_sources(folder: Path) -> dict[str, dict[str, str]]:
    try:
        sources = json.loads((folder / SOURCES_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return sources if isinstance(sources, dict) else {}


def _packages() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def read_static_sources() -> Iterator[tuple[str, bytes]]:
    for file in STATIC_SOURCE.rglob("*"):
        if file.is_file():
            yield file.relative_to(STATIC_SOURCE).as_posix(), file.read_bytes()


def is_built(*, compare_packages: bool = True) -> bool:
    """Return whether texts and static files match the sources, and with `compare_packages` the installed
    packages.
    """
    if digests_by_group(read_static_sources()).items() - recorded_digests().items() or any(
        outdated_translations(seconds=0)
    ):
        return False
    return not compare_packages or _read_sources(COLLECTED).get("packages") == _packages()


def outdated_translations(*, seconds: float = UNPACKED_SECONDS) -> Iterator[Path]:
    """Return every `.po` whose `.mo` is missing or older by more than the tolerance."""
    for po in SOURCE.glob("**/locale/*/LC_MESSAGES/*.po"):
        mo = po.with_suffix(".mo")
        if not mo.exists() or mo.stat().st_mtime + seconds < po.stat().st_mtime:
            yield po


def stale_build_warnings(outdated_static: Iterable[str]) -> Iterator[str]:
    """Return warnings for the operator. Koppel works all the same, with the files that exist."""
    if groups := sorted(outdated_static):
        names = ", ".join(groups)
        yield (
            f"Static files ({names}) are not collected as they are now, "
            f"so browsers may not keep them for long: {REBUILD_INSTRUCTION}."
        )
    if count := sum(1 for _po in outdated_translations()):
        problem = "files of texts are not compiled as they are now, so pages may be in English"
        yield f"{count} {problem}: {REBUILD_INSTRUCTION}."
