"""A made-up language: every text is bracketed, accented and longer, so that what is not translated shows, and
so does what has no room.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

import polib

from koppel.web.build.translations import SOURCE

GROWTH = 1.3
"""Dutch and German are about this much longer than English; a text that is longer in Dutch grows to that."""
ACCENTS = str.maketrans("aeiouyAEIOUYcnsz", "àéîöüýÀÉÎÖÜÝçñšž")
KEPT = re.compile(r"(%\(\w+\)[sdr]|%[sd%]|\{\w*\}|<[^>]*>|&#?\w+;|\n)")
"""Placeholders and markup."""
OTHERS = ("django", "allauth")
TEXT_ATTRIBUTES = {"aria-label", "placeholder", "title", "alt", "data-copied", "data-of", "data-none"}
SKIPPED = {"script", "style", "code", "pre", "kbd", "del", "ins", "title", "textarea"}
EMPTY = {
    "area",
    "base",
    "br",
    "col",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "source",
    "wbr",
    "path",
    "polyline",
    "use",
}


def pseudo(text: str, length: int = 0) -> str:
    """Return the text in the made-up language, at least `length` characters long."""
    if not text.strip():
        return text
    missing = max(round(len(text) * GROWTH), length) - len(text) - 2
    parts = []
    for number, part in enumerate(KEPT.split(text)):
        if number % 2:
            parts.append(part)
            continue
        grown, added = _grown(part.translate(ACCENTS), missing)
        missing -= added
        parts.append(grown)
    return f"[{''.join(parts)}]"


def _grown(text: str, count: int) -> tuple[str, int]:
    """Double vowels until `count` characters were added. Return the text and how many were."""
    added, characters = 0, []
    for character in text:
        characters.append(character)
        if added < count and character in "àéîöüý":
            characters.append(character)
            added += 1
    return "".join(characters), added


def write_catalogue(folder: Path) -> None:
    """Write Koppel's texts and those of its libraries as Dutch into `LC_MESSAGES` of a folder of locales."""
    catalogue = polib.POFile()
    catalogue.metadata = {
        "Content-Type": "text/plain; charset=UTF-8",
        "Plural-Forms": "nplurals=2; plural=(n != 1);",
    }
    keys = set()
    for entry in _entries():
        if (entry.msgctxt, entry.msgid) in keys:
            continue
        keys.add((entry.msgctxt, entry.msgid))
        catalogue.append(_pseudo_entry(entry))
    target = folder / "nl" / "LC_MESSAGES"
    target.mkdir(parents=True)
    catalogue.save_as_mofile(str(target / "django.mo"))


def _entries() -> Iterator[polib.POEntry]:
    for po in sorted(SOURCE.glob("**/locale/nl/LC_MESSAGES/django.po")):
        yield from polib.pofile(str(po))
    for package in OTHERS:
        spec = find_spec(package)
        assert spec
        assert spec.origin
        for mo in sorted(Path(spec.origin).parent.glob("**/locale/nl/LC_MESSAGES/django.mo")):
            yield from (entry for entry in polib.mofile(str(mo)) if not _is_format(entry.msgid))


def _is_format(text: str) -> bool:
    """Formats of dates and names of plural rules, which are no texts."""
    return text.isupper() and "_" in text


def _pseudo_entry(entry: polib.POEntry) -> polib.POEntry:
    if entry.msgid_plural:
        texts = {0: entry.msgid, 1: entry.msgid_plural}
        plural = {form: pseudo(text, len(entry.msgstr_plural.get(form, ""))) for form, text in texts.items()}
        return polib.POEntry(
            msgctxt=entry.msgctxt, msgid=entry.msgid, msgid_plural=entry.msgid_plural, msgstr_plural=plural
        )
    return polib.POEntry(
        msgctxt=entry.msgctxt, msgid=entry.msgid, msgstr=pseudo(entry.msgid, len(entry.msgstr))
    )


class _Texts(HTMLParser):
    """Collects what people read: text nodes and attributes, not code or parts in a language of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        is_skipped = tag in SKIPPED or ("lang" in values and tag != "html") or values.get("translate") == "no"
        if not (is_skipped or self._is_skipping):
            self.texts += [f"\n{values[name]}\n" for name in sorted(TEXT_ATTRIBUTES & values.keys())]
        if tag not in EMPTY:
            self._open.append((tag, is_skipped or self._is_skipping))

    def handle_endtag(self, tag: str) -> None:
        while self._open and any(tag == name for name, _skipped in self._open):
            if self._open.pop()[0] == tag:
                break

    def handle_data(self, data: str) -> None:
        if not self._is_skipping:
            self.texts.append(data)

    @property
    def _is_skipping(self) -> bool:
        return bool(self._open) and self._open[-1][1]


def untranslated(page: str) -> list[str]:
    """Return the lines of a page that are outside brackets and have letters."""
    parser = _Texts()
    parser.feed(page)
    text, count = "\n".join(parser.texts), 1
    while count:
        text, count = re.subn(r"\[[^\[\]]*\]", " ", text)
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if re.search(r"[^\W\d_]{2}", line)]
