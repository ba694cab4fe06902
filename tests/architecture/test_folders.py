"""An app's folder stays small enough to be read at a glance: beyond its conventional files it has at most a
dozen entries.
"""

from pathlib import Path

import pytest

from tests.fixtures.environment import KOPPEL as PACKAGE

ENTRIES_MAX = 12
CONVENTIONAL = {
    "__init__",
    "__main__",
    "apps",
    "wiring",
    "asgi",
    "wsgi",
    "models",
    "errors",
    "services",
    "queries",
    "tasks",
    "forms",
    "views",
    "api",
    "commands",
    "urls",
    "inputs",
    "hooks",
    "issue_types",
    "event_types",
    "alarm_types",
    "audit_actions",
    "migrations",
    "locale",
    "templates",
    "templatetags",
    "static",
}
"""Names that mean the same in every app, by convention of Django or of ours."""
NAMED_BY_DJANGO = {"management"}
MADE_AT_INSTALLATION = {"__pycache__", "staticfiles"}

APPS = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))


def entries(folder: Path) -> list[str]:
    """What stands in the folder besides the conventional names; `.py` is left off."""
    names = {path.stem for path in folder.iterdir() if not path.name.startswith(".")}
    return sorted(names - CONVENTIONAL - NAMED_BY_DJANGO - MADE_AT_INSTALLATION)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_an_app_has_at_most_a_dozen_entries_of_its_own(app: Path) -> None:
    assert len(entries(app)) <= ENTRIES_MAX, entries(app)


def test_every_folder_of_the_package_is_a_package() -> None:
    strays = [
        path.name
        for path in PACKAGE.iterdir()
        if path.is_dir() and path.name != "__pycache__"
        if path not in APPS
    ]
    assert strays == []


def test_what_is_conventional_does_not_count(tmp_path: Path) -> None:
    for name in ("models.py", "views", "numbers.py", "sectors"):
        (tmp_path / name).touch()
    assert entries(tmp_path) == ["numbers", "sectors"]
