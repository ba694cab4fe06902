"""What a person reads is there in Dutch too."""

import ast
import re
import shutil
from collections.abc import Iterator

import polib

from koppel.web.audit.action_labels import AUDIT_ACTION_LABELS
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


def test_every_act_of_the_audit_trail_has_words() -> None:
    recorded = {act for file in SOURCE.rglob("*.py") for act in recorded_actions(ast.parse(file.read_text()))}
    assert {"administrations.imported", "person.changed"} <= recorded
    assert recorded - AUDIT_ACTION_LABELS.keys() == set()


def recorded_actions(code: ast.AST) -> Iterator[str]:
    """Texts of the form of an act, given to a function that records."""
    for node in ast.walk(code):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("record", "_record"):
            for literal in ast.walk(node):
                if isinstance(literal, ast.Constant) and re.fullmatch(r"[a-z_]+\.[a-z_]+", str(literal.value)):
                    yield str(literal.value)
