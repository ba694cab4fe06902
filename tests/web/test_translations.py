"""What a person reads is there in Dutch too."""

import re
import shutil

import polib
import pytest

from koppel.web.acts import ACTS
from koppel.web.translations import SOURCE, missing

COMPLETE = {"administrations", "issues", "notifications", "organisations", "web"}


@pytest.mark.skipif(shutil.which("xgettext") is None, reason="gettext is not installed")
def test_no_text_of_these_slices_lacks_its_translation() -> None:
    assert [one for one in missing() if one[0] in COMPLETE] == []


def test_a_text_is_translated_one_way_only() -> None:
    """gettext merges all slices into one catalogue: the first would win."""
    found: dict[str, set[str]] = {}
    for po in SOURCE.glob("**/locale/nl/LC_MESSAGES/django.po"):
        for entry in polib.pofile(str(po)):
            found.setdefault(entry.msgid, set()).add(entry.msgstr or str(entry.msgstr_plural))
    assert {text: sorted(words) for text, words in found.items() if len(words) > 1} == {}


def test_every_act_of_the_audit_trail_has_words() -> None:
    recorded = {
        act
        for file in SOURCE.glob("**/services.py")
        for act in re.findall(r'"((?:administrations?|connection|organisation|person)\.[a-z_]+)"', file.read_text())
        if "record(" in file.read_text()
    }
    assert {"administrations.imported", "person.added"} <= recorded
    assert recorded - ACTS.keys() == set()
