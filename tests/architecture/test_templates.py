"""Templates are readable."""

from tests.fixtures.environment import PACKAGES

COLUMNS_MAX = 140


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
