"""`python -m koppel.web.build`: compile the texts and collect the static files, where they are outdated.

Part of an installation and of the wheel's build. Running programs write nothing beside the code.
"""

import fcntl
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import django

from koppel.web.build.built import COLLECTED, SOURCE, is_built, recorded_digests, write_digests
from koppel.web.build.static_files import HashedStaticFiles, current_digests, list_static_files, read_content
from koppel.web.build.translations import compile_all

STYLESHEET = "koppel/koppel.css"
IMPORT = re.compile(r'@import url\("(?P<path>[^"]+)"\) layer\((?P<layer>\w+)\);')


def build() -> None:
    """Compile translations and collect static files. Needs Django's settings.

    It is safe to repeat, to interrupt, and to run twice at once.
    """
    with _exclusive_lock():
        compile_all()
        _collect_if_outdated()


def _collect_if_outdated() -> None:
    current = current_digests()
    if recorded_digests() == current and is_built():
        return
    fresh, old = (COLLECTED.with_name(f"{COLLECTED.name}.{suffix}.tmp") for suffix in ("new", "old"))
    for left_over in (fresh, old):
        shutil.rmtree(left_over, ignore_errors=True)
    _collect(fresh)
    write_digests(fresh, current)
    if COLLECTED.exists():
        COLLECTED.replace(old)
    fresh.replace(COLLECTED)
    shutil.rmtree(old, ignore_errors=True)


def _collect(folder: Path) -> None:
    """Collect static files, each with its hashed copy. Raises `ValueError` when a file refers to a missing
    one.
    """
    paths = {name: (storage, path) for name, storage, path in list_static_files()}
    for name, (storage, path) in paths.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(read_content(storage, path))
    stylesheet = folder / STYLESHEET
    stylesheet.write_text(bundled(stylesheet))
    collected = HashedStaticFiles(location=folder)
    for name, _hashed, outcome in collected.post_process({name: (collected, name) for name in paths}):
        if isinstance(outcome, Exception):
            raise ValueError(f"{name} cannot be collected: {outcome}") from outcome


def bundled(stylesheet: Path) -> str:
    """Return the stylesheet with what it imports inlined, each in its layer, so that a page loads one file.
    References in imported files are relative to the stylesheet's folder, or data.
    """

    def inlined(match: re.Match[str]) -> str:
        return f"@layer {match['layer']} {{\n{(stylesheet.parent / match['path']).read_text()}}}"

    return IMPORT.sub(inlined, stylesheet.read_text())


@contextmanager
def _exclusive_lock() -> Iterator[None]:
    """Block concurrent builds; afterwards they find everything up to date."""
    folder = os.open(SOURCE / "web", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main() -> None:
    if is_built():
        return
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
    django.setup()
    try:
        build()
    except (OSError, ValueError) as error:
        sys.exit(f"Texts and static files cannot be built: {error}")


if __name__ == "__main__":
    main()
