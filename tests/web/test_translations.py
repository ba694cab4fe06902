"""Every text has a Dutch translation."""

import shutil

import polib

from koppel.web.build.translations import SOURCE, missing
from tests.fixtures.requirements import GETTEXT, skip_without


def test_no_text_lacks_its_translation() -> None:
    if shutil.which("xgettext") is None:
        skip_without(GETTEXT)
    assert list(missing()) == []


def test_a_text_is_translated_one_way_only() -> None:
    """gettext merges all apps into one catalogue: the first would win."""
    translations: dict[str, set[str]] = {}
    for po in SOURCE.glob("**/locale/nl/LC_MESSAGES/django.po"):
        for entry in polib.pofile(str(po)):
            translations.setdefault(entry.msgid, set()).add(entry.msgstr or str(entry.msgstr_plural))
    assert {text: sorted(words) for text, words in translations.items() if len(words) > 1} == {}
