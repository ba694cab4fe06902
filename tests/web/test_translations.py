"""Every text has a Dutch translation."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import polib

from koppel.connector import errors
from koppel.web.build.translations import SOURCE, missing_translations
from tests.fixtures.requirements import GETTEXT, skip_without


def test_no_text_lacks_its_translation() -> None:
    if shutil.which("xgettext") is None:
        skip_without(GETTEXT)
    assert list(missing_translations()) == []


def test_a_text_is_translated_one_way_only() -> None:
    """gettext merges all apps into one catalogue: the first would win."""
    translations: dict[tuple[str | None, str], set[str]] = {}
    for po in SOURCE.glob("**/locale/nl/LC_MESSAGES/django.po"):
        for entry in polib.pofile(str(po)):
            translations.setdefault((entry.msgctxt, entry.msgid), set()).add(
                entry.msgstr or str(entry.msgstr_plural)
            )
    assert {text: sorted(words) for text, words in translations.items() if len(words) > 1} == {}


NAMES = {
    "Koppel",
    "Administrator",
    "Administrators",
    "Beheerder",
    "Team",
    "European",
    "Europese",
    "Nachts",
    "Friday",
}
"""Words with a capital within a heading or a label."""


def test_headings_and_labels_are_in_sentence_case() -> None:
    """Texts of few words without a full stop: only names have a capital after the first word."""
    catalogues = [polib.pofile(str(po)) for po in sorted(SOURCE.glob("**/locale/*/LC_MESSAGES/django.po"))]
    english = {
        entry.msgid: entry.msgstr for po in catalogues if po.metadata["Language"] == "en" for entry in po
    }
    texts = {english.get(entry.msgid, entry.msgid) for po in catalogues for entry in po}
    texts |= {entry.msgstr for po in catalogues for entry in po}
    wrong = {text for text in texts if _is_label(text) and _capitals(text) - NAMES}
    assert wrong == set()


def _is_label(text: str) -> bool:
    return not re.search(r"[.!?:;–“\"]", text) and len(text.split()) <= 6


def _capitals(text: str) -> set[str]:
    return {word for word in text.split()[1:] if re.fullmatch(r"[A-Z][a-z]+", word)}


VARIABLE = re.compile(r"{%\s*translate\s+(?![\"'])(\S+)")


def test_templates_translate_texts_and_no_variables() -> None:
    """A stored sentence may have values: the filter `sentence` renders it. Labels of the forms of allauth are
    texts of its own catalogue.
    """
    variables = {
        (file.name, name)
        for file in SOURCE.rglob("templates/**/*.html")
        for name in VARIABLE.findall(file.read_text())
        if "allauth" not in file.parts
    }
    assert variables == set()


ERRORS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ConnectorError)
} | {"NetworkFailure"}


def test_sentences_of_errors_are_marked_for_translation() -> None:
    """They are stored and shown later: the values are arguments, not parts of the text."""
    unmarked = [
        f"{file.relative_to(SOURCE)}:{call.lineno}"
        for file in sorted(SOURCE.rglob("*.py"))
        for call in _calls_of_errors(file)
        if len(call.args) > 1 and isinstance(call.args[1], ast.Constant | ast.JoinedStr | ast.BinOp)
    ]
    assert unmarked == []


def _calls_of_errors(file: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
            yield node
