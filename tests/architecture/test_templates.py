"""Templates, stylesheets and scripts of pages are readable."""

import re

from tests.fixtures.environment import KOPPEL, PACKAGES

COLUMNS_MAX = 140
TAG_WITHOUT_END = re.compile(r"\{%(?!.*%\})|\{\{(?!.*\}\})|\{#(?!.*#\})")
LINES_MAX = 300


def test_lines_of_templates_are_short() -> None:
    templates = sorted(PACKAGES.glob("*/src/**/templates/**/*.html"))
    assert len(templates) > 100
    long = [
        f"{path.relative_to(PACKAGES)}:{number}: {len(line)}"
        for path in templates
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if len(line) > COLUMNS_MAX
    ]
    assert long == []


def test_a_tag_ends_on_the_line_where_it_begins() -> None:
    """Django shows a tag of several lines as text."""
    templates = [
        path
        for path in sorted(PACKAGES.glob("*/src/**/templates/**/*"))
        if path.suffix in (".html", ".txt", ".js", ".xml")
    ]
    assert len(templates) > 150
    unended = [
        f"{path.relative_to(PACKAGES)}:{number}"
        for path in templates
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if TAG_WITHOUT_END.search(line)
    ]
    assert unended == []


def test_scripts_and_stylesheets_are_short() -> None:
    folder = KOPPEL / "web" / "static" / "koppel"
    files = [*folder.rglob("*.js"), *folder.rglob("*.css")]
    assert len(files) > 40
    assert {
        path.name: count for path in files if (count := len(path.read_text().splitlines())) > LINES_MAX
    } == {}
