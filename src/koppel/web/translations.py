"""Translations: `.po` files live in each slice; the `.mo` files that gettext reads are made at start, not committed."""

import os
from pathlib import Path

import polib

SOURCE = Path(__file__).resolve().parents[1]


def compile_all() -> int:
    """Compile every `.po` whose `.mo` is missing or older. How many were compiled."""
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
