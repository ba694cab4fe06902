"""A docstring names its subject: it may not begin with a verb and a pronoun."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("packages", "tests", "bench")
PRONOUN = re.compile(r'"""[A-Z]\w* (?:it|them)\b')


def test_docstrings_begin_with_a_noun_instead_of_a_pronoun() -> None:
    assert PRONOUN.search('""' + '"Store it as a bulk operation.')
    assert not PRONOUN.search('""' + '"Store the form as a bulk operation.')
    violations = [
        f"{file.relative_to(ROOT)}: {docstring}"
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*.py"))
        for docstring in PRONOUN.findall(file.read_text(encoding="utf-8"))
    ]
    assert violations == [], "\n".join(violations)
