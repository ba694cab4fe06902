"""What is made of the sources at installation, and whether it still fits them: compiled texts, and static files whose names
carry a hash of their content. `koppel.web.build` makes it; programs only read it, so they run from a tree that they may
not write.

Needs the standard library alone: the wheel's build asks it too.
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
OURS = "koppel"
PACKAGES = ("django", "django-allauth", "django-htmx", "whitenoise")
"""Static files of others come from these, or are made by them."""
UNPACKED_SECONDS = 60
"""An installer unpacks files in any order: one that is older by less than this is not outdated."""

HOW = "run `make install` (or `python -m koppel.web.build` in the environment that Koppel runs in), then start again"


def digests(files: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """A digest per group, which is the first part of a name: files refer to others of their own group alone."""
    sums: dict[str, Any] = {}
    for name, content in sorted(files):
        group = sums.setdefault(group_of(name), hashlib.sha256())
        group.update(f"{name}\0{len(content)}\0".encode() + content)
    return {name: group.hexdigest() for name, group in sums.items()}


def group_of(name: str) -> str:
    return name.partition("/")[0]


def record(folder: Path, current: dict[str, str]) -> None:
    """Write the manifest last, so an interrupted collection has none."""
    text = json.dumps({"digests": current, "packages": _packages()}, indent=1, sort_keys=True)
    (folder / SOURCES_FILE).write_text(text)


def recorded_digests(folder: Path = COLLECTED) -> dict[str, str]:
    """Of the sources of what was collected; empty when nothing was."""
    return dict(_recorded(folder).get("digests", {}))


def _recorded(folder: Path) -> dict[str, dict[str, str]]:
    try:
        sources = json.loads((folder / SOURCES_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return sources if isinstance(sources, dict) else {}


def _packages() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES}


def own_static_files() -> Iterator[tuple[str, bytes]]:
    for file in STATIC_SOURCE.rglob("*"):
        if file.is_file():
            yield file.relative_to(STATIC_SOURCE).as_posix(), file.read_bytes()


def is_built(*, for_these_packages: bool = True) -> bool:
    """Whether texts and our own static files are those of the sources, and those of others of the packages installed here."""
    if recorded_digests().get(OURS) != digests(own_static_files())[OURS] or any(outdated_texts(seconds=0)):
        return False
    return not for_these_packages or _recorded(COLLECTED).get("packages") == _packages()


def outdated_texts(*, seconds: float = UNPACKED_SECONDS) -> Iterator[Path]:
    """Every `.po` whose `.mo` is missing, or older by more than so much."""
    for po in SOURCE.glob("**/locale/*/LC_MESSAGES/*.po"):
        mo = po.with_suffix(".mo")
        if not mo.exists() or mo.stat().st_mtime + seconds < po.stat().st_mtime:
            yield po


def stale_build_warnings(outdated_static: Iterable[str]) -> Iterator[str]:
    """Sentences for whoever runs this installation. It works all the same: with the texts and files that there are."""
    if groups := sorted(outdated_static):
        names = ", ".join(groups)
        yield f"Static files ({names}) are not collected as they are now, so browsers may not keep them for long: {HOW}."
    if count := sum(1 for _po in outdated_texts()):
        yield f"{count} files of texts are not compiled as they are now, so pages may be in English: {HOW}."
