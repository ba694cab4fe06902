"""What was released is kept, so that later versions are tested against exactly it."""

import re
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.installations import install_release
from tests.fixtures.environment import REPOSITORY

RELEASES = sorted(path for path in (REPOSITORY / "tests" / "releases").iterdir() if path.is_dir())
PINNED = re.compile(r"^([a-z0-9._-]+)==\S+ (?:; [^\n]+ )?\\\n    --hash", re.MULTILINE)
DISTRIBUTIONS = ("koppel", "koppel_sandbox")


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_a_release_has_both_wheels_of_its_version_and_its_locked_requirements(release: Path) -> None:
    wheels = [f"{name}-{release.name}-py3-none-any.whl" for name in DISTRIBUTIONS]
    assert sorted(file.name for file in release.iterdir()) == [*wheels, "requirements.txt"]
    for name, wheel in zip(DISTRIBUTIONS, wheels, strict=True):
        with zipfile.ZipFile(release / wheel) as archive:
            metadata = archive.read(f"{name}-{release.name}.dist-info/METADATA").decode()
        assert f"\nVersion: {release.name}\n" in metadata
    pinned = re.findall(
        r"^([a-z0-9._-]+)==\S+ (?:; [^\n]+ )?\\\n    --hash", requirements_of(release), re.MULTILINE
    )
    assert {"django", "psycopg", "granian"} <= set(pinned)
    assert len(pinned) == len(re.findall(r"^[a-z0-9]", requirements_of(release), re.MULTILINE))


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_a_release_has_its_section_in_the_changelog(release: Path) -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(release.name)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)


def test_this_version_is_not_older_than_what_was_released() -> None:
    numbers = [tuple(map(int, path.name.split("."))) for path in RELEASES]
    assert tuple(map(int, version("koppel").split(".")[:3])) >= max(numbers)


@pytest.mark.drill
@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_a_release_can_be_installed_as_it_was(release: Path, tmp_path: Path) -> None:
    installation = install_release(release, tmp_path)
    assert installation.run("koppel", "--version").stdout.strip() == release.name
    assert installation.run("koppel-sandbox", "--help").returncode == 0


def requirements_of(release: Path) -> str:
    return (release / "requirements.txt").read_text()
