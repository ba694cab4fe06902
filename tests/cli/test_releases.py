"""What was released is kept, so that later versions are tested against exactly it."""

import importlib.util
import re
import shutil
import zipfile
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from tests.cli.installations import DISTRIBUTIONS, build_wheels
from tests.cli.sites import copy_package
from tests.fixtures.environment import KOPPEL, REPOSITORY


def number(release: Path) -> tuple[int, ...]:
    return tuple(map(int, release.name.split(".")))


RELEASES = sorted((REPOSITORY / "tests" / "releases").glob("*.*.*"), key=number)
PINNED = re.compile(r"^([a-z0-9._-]+)==\S+ (?:; [^\n]+ )?\\\n    --hash", re.MULTILINE)
WHEELS = ("koppel", "koppel_sandbox", "ledger_formats")
CHANGELOG = """# Changelog

## [Unreleased]

### Fixed

- One.

### Added

- Two.

### Fixed

- Three.

## [0.2.0] - 2026-11-30

First.

### Fixed

- Zero.

## [0.1.0] - 2026-11-25

Old.
"""
RELEASED = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

First.

### Added

- Two.

### Fixed

- Zero.
- One.
- Three.

## [0.1.0] - 2026-11-25

Old.
"""


@pytest.fixture(scope="module")
def cutter() -> ModuleType:
    """The program behind `make release`."""
    spec = importlib.util.spec_from_file_location("release_of_koppel", REPOSITORY / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_release_has_the_wheels_of_its_version_and_its_locked_requirements() -> None:
    for release in RELEASES:
        wheels = [f"{name}-{release.name}-py3-none-any.whl" for name in WHEELS]
        files = sorted(file.name for file in release.iterdir())
        assert files == sorted([*wheels, "koppel.cdx.json", "requirements.txt"])
        for name, wheel in zip(WHEELS, wheels, strict=True):
            with zipfile.ZipFile(release / wheel) as archive:
                metadata = archive.read(f"{name}-{release.name}.dist-info/METADATA").decode()
            assert f"\nVersion: {release.name}\n" in metadata
        requirements = (release / "requirements.txt").read_text()
        pinned = PINNED.findall(requirements)
        assert {"django", "psycopg", "granian"} <= set(pinned)
        assert len(pinned) == len(re.findall(r"^[a-z0-9]", requirements, re.MULTILINE))


def test_a_release_has_its_section_in_the_changelog() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    for release in RELEASES:
        assert re.search(rf"^## \[{re.escape(release.name)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)


def test_migrations_that_were_released_stay_as_they_are() -> None:
    """A database has applied them: a change needs another migration."""
    for release in RELEASES:
        with zipfile.ZipFile(release / f"koppel-{release.name}-py3-none-any.whl") as archive:
            for name in archive.namelist():
                if re.fullmatch(r"koppel/\w+/migrations/\d{4}_\w+\.py", name):
                    assert (KOPPEL.parent / name).read_bytes() == archive.read(name), name


def test_the_version_is_the_same_everywhere_and_not_older_than_a_release(
    cutter: ModuleType, tmp_path: Path
) -> None:
    paths = ["uv.lock", *(f"packages/{name}/pyproject.toml" for name in DISTRIBUTIONS)]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / path)
    current = re.search(r'^version = "([\d.]+)"', (REPOSITORY / paths[1]).read_text(), re.MULTILINE)
    assert current is not None
    cutter.set_version(tmp_path, current[1])
    assert all((tmp_path / path).read_bytes() == (REPOSITORY / path).read_bytes() for path in paths)
    assert all(tuple(map(int, current[1].split("."))) >= number(release) for release in RELEASES)
    cutter.set_version(tmp_path, "98.7.6")
    assert [(tmp_path / path).read_text().count("98.7.6") for path in paths] == [3, 2, 2, 1]


def test_a_release_takes_the_lines_that_were_unreleased(cutter: ModuleType) -> None:
    assert cutter.released_changelog(CHANGELOG, "0.2.0", date(2026, 12, 1)) == RELEASED
    third = cutter.released_changelog(CHANGELOG, "0.3.0", date(2026, 12, 1))
    assert re.findall(r"^## \[(.*?)\]", third, re.MULTILINE) == ["Unreleased", "0.3.0", "0.2.0", "0.1.0"]
    with pytest.raises(SystemExit, match="no line below Unreleased"):
        cutter.released_changelog(RELEASED, "0.3.0", date(2026, 12, 1))
    cut_now = cutter.released_changelog((REPOSITORY / "CHANGELOG.md").read_text(), "0.2.0", date(2026, 12, 1))
    assert cut_now.count("\n- ") == (REPOSITORY / "CHANGELOG.md").read_text().count("\n- ")


@pytest.mark.drill
def test_the_same_tree_gives_the_same_wheels(tmp_path: Path) -> None:
    folders = []
    for attempt in ("first", "second"):
        trees = [copy_package(name, tmp_path / attempt / name) for name in DISTRIBUTIONS]
        folders.append(build_wheels(trees, tmp_path / attempt / "wheels"))
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders)
    assert first == second
    assert len(first) == len(DISTRIBUTIONS)
