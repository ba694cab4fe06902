"""Translations: `.po` files are in each app; the `.mo` files that gettext reads are built at installation
(`koppel.web.build`), not committed.

`python -m koppel.web.build.translations missing` lists texts without a Dutch translation.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polib
from django.utils.translation.template import templatize

SOURCE = Path(__file__).resolve().parents[2]


def compile_all() -> int:
    """Compile every `.po` whose `.mo` is missing or older. Return their number."""
    count = 0
    for po in SOURCE.glob("**/locale/*/LC_MESSAGES/*.po"):
        mo = po.with_suffix(".mo")
        if mo.exists() and mo.stat().st_mtime >= po.stat().st_mtime:
            continue
        fresh = mo.with_suffix(f".{os.getpid()}.tmp")
        polib.pofile(str(po)).save_as_mofile(str(fresh))
        fresh.replace(mo)
        count += 1
    return count


def missing_translations(language: str = "nl") -> Iterator[tuple[str, str]]:
    """Return (app, text) of every text in code and templates that its app does not translate. Needs
    `xgettext`.
    """
    folders = {path.parent for path in SOURCE.glob("*/__init__.py")} - {SOURCE / "connectors"}
    for folder in sorted(folders | {path.parent for path in SOURCE.glob("connectors/*/__init__.py")}):
        translated = _translated_texts(folder, language)
        for text in sorted(_texts(folder)):
            if text not in translated:
                yield folder.name, text


def _translated_texts(folder: Path, language: str) -> set[str]:
    po = folder / "locale" / language / "LC_MESSAGES" / "django.po"
    return {entry.msgid for entry in polib.pofile(str(po)) if entry.translated()} if po.exists() else set()


def _texts(folder: Path) -> set[str]:
    """Return the texts that `gettext` would look up, plural or not."""
    with tempfile.TemporaryDirectory() as scratch:
        sources = [str(file) for file in folder.rglob("*.py") if "migrations" not in file.parts]
        for number, file in enumerate(sorted(folder.rglob("templates/**/*.*"))):
            copy = Path(scratch) / f"{number}.py"
            copy.write_text(re.sub("\u0000", "", templatize(file.read_text(), origin=str(file))))
            sources.append(str(copy))
        if not sources:
            return set()
        pot = Path(scratch) / "found.pot"
        functions = (
            "_",
            "gettext",
            "gettext_lazy",
            "gettext_noop",
            "ngettext:1,2",
            "ngettext_lazy:1,2",
            "pgettext:1c,2",
            "pgettext_lazy:1c,2",
        )
        keywords = [f"--keyword={word}" for word in functions]
        command = [
            "xgettext",
            "--language=Python",
            "--from-code=UTF-8",
            "--output",
            str(pot),
            *keywords,
            *sources,
        ]
        subprocess.run(command, check=True, capture_output=True)
        return {entry.msgid for entry in polib.pofile(str(pot))} if pot.exists() else set()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
    lacking = list(missing_translations())
    for app, text in lacking:
        sys.stdout.write(f"{app}: {text}\n")
    sys.exit(1 if lacking else 0)
