"""Installs distributions into environments of their own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.environment import REPOSITORY

DISTRIBUTIONS = ("koppel", "koppel-sandbox", "ledger-formats")


@dataclass(frozen=True)
class Installation:
    """An environment of its own, and an empty home for who uses it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "environment" / "bin" / "python"

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A program of this environment, with no settings."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {"PATH": f"{self.python.parent}:{os.environ['PATH']}", "HOME": str(home)}
        words = [self.python.parent / program, *arguments]
        return subprocess.run(words, env=environment, cwd=home, capture_output=True, text=True, check=False)


def install(distribution: str, wheels: Path, folder: Path, *, extra: str = "") -> Installation:
    """The packages of others as the lock file has them; then the wheel, whose own metadata may ask for
    nothing more. What is installed in the folder already is replaced.
    """
    installation = Installation(folder)
    folder.mkdir(parents=True, exist_ok=True)
    requirements = folder / "requirements.txt"
    extras, requirement = (("--extra", extra), f"{distribution}[{extra}]") if extra else ((), distribution)
    lock = ("--frozen", "--package", distribution, *extras, "--no-dev", "--no-emit-workspace")
    uv("export", *lock, "--project", str(REPOSITORY), "--output-file", str(requirements))
    _fill(installation, requirements, wheels, requirement)
    return installation


def build_wheels(trees: Sequence[Path], folder: Path) -> Path:
    """Build the packages of these folders, with what is installed here. Returns `folder`."""
    for tree in trees:
        words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        done = subprocess.run(words, cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def install_release(release: Path, folder: Path) -> Installation:
    """Install a released version from its folder in `tests/releases`, with what it was locked to."""
    installation = Installation(folder)
    _fill(installation, release / "requirements.txt", release, f"koppel[demo]=={release.name}")
    return installation


def _fill(installation: Installation, requirements: Path, wheels: Path, requirement: str) -> None:
    python = ("--python", str(installation.python))
    if not installation.python.exists():
        uv("venv", "--python", sys.executable, str(installation.python.parent.parent))
    uv("pip", "sync", *python, str(requirements))
    uv("pip", "install", "--no-index", "--find-links", str(wheels), *python, requirement)
    uv("pip", "check", *python)


def uv(*words: str) -> None:
    """Use the cache of uv if it has all that is needed, else from the network."""
    program = shutil.which("uv", path=f"{REPOSITORY / '.koppel' / 'uv' / 'bin'}:{os.environ['PATH']}")
    assert program, "There is no uv; `make check` brings it."
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for mode in ("--offline", "--no-progress"):
        done = subprocess.run(
            [program, mode, *words], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
    pytest.fail(f"uv {' '.join(words)}: {done.stderr}")
