"""PostgreSQL's own programs that dump and restore, of the version that fits.

A dump can be restored by programs of its version and newer, into servers of that version and newer.
"""

import contextlib
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import program_directories

TIMEOUT_SETTING_SINCE = 17
"""Programs from this version on write a setting that older servers do not have."""

DEATH_SECONDS = 2


@dataclass(frozen=True)
class ClientPrograms:
    """`pg_dump` and `pg_restore` of one version."""

    directory: Path
    major: int

    def command(self, program: str, url: str, *arguments: str) -> list[str]:
        """Return a command line without the password, which other accounts would see."""
        parameters = conninfo_to_dict(url)
        parameters.pop("password", None)
        return [str(self.directory / program), f"--dbname={make_conninfo('', **parameters)}", *arguments]


def password_environment(url: str) -> dict[str, str]:
    """Return the environment of such a command."""
    password = conninfo_to_dict(url).get("password")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**plain, "PGPASSWORD": str(password)} if password else plain


def installed_programs() -> list[ClientPrograms]:
    """Return all of this machine, the oldest first; of one version those that came with Koppel."""
    by_major: dict[int, ClientPrograms] = {}
    for directory in program_directories():
        if (directory / "pg_dump").is_file() and (directory / "pg_restore").is_file():
            major = _major(directory / "pg_dump")
            by_major.setdefault(major, ClientPrograms(directory, major))
    return [by_major[major] for major in sorted(by_major) if major]


def programs_to_dump(server: int, restored_into: int | None) -> ClientPrograms:
    """Return the programs for a server and the version that the dump is for (None: the server's own).

    Without those of that very version, the next newer ones. Raises `CommandError`.
    """
    wanted_major = max(server, restored_into or server)
    for programs in installed_programs():
        if programs.major >= wanted_major:
            return programs
    raise CommandError(
        f"pg_dump of PostgreSQL {wanted_major} or newer is needed and is not on this machine; "
        f"install the package postgresql-client-{wanted_major}."
    )


def programs_to_restore(pg_dump: int, server: int) -> ClientPrograms:
    """Return the programs that read a dump of a version and write to a server. Raises `CommandError`."""
    for programs in installed_programs():
        is_too_new = programs.major >= TIMEOUT_SETTING_SINCE > server
        if programs.major >= pg_dump and not is_too_new:
            return programs
    raise CommandError(
        f"pg_restore of PostgreSQL {server} is needed and is not on this machine; "
        f"install the package postgresql-client-{server}."
    )


def _major(program: Path) -> int:
    """Return the major version; 0 when the program does not run."""
    try:
        completed = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, check=True, timeout=20
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    match = re.search(r"\) (\d+)", completed.stdout)
    return int(match.group(1)) if match else 0


class RunningProgram:
    """One of PostgreSQL's programs with a pipe, whose message is the reason when it fails."""

    def __init__(self, command: list[str], url: str = "", *, reads: bool) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._name = Path(command[0]).name
        self.process = subprocess.Popen(
            command,
            env=password_environment(url),
            stdin=subprocess.PIPE if reads else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if reads else subprocess.PIPE,
            stderr=self._errors,
        )

    def __enter__(self) -> "RunningProgram":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind is not None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait()
        self._errors.close()

    @property
    def pipe(self) -> IO[bytes]:
        """The end that this process holds."""
        pipe = self.process.stdin or self.process.stdout
        if pipe is None:
            raise CommandError(f"{self._name} has no pipe.")
        return pipe

    def finish(self) -> None:
        """Wait for its end. Raises `CommandError` when it failed."""
        if self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        if self.process.wait():
            raise CommandError(f"{self._name} failed: {self._reason()}")

    def require_alive(self) -> None:
        """Raise `CommandError` when it has failed: it explains why a pipe is broken."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.wait(DEATH_SECONDS):
                raise CommandError(f"{self._name} failed: {self._reason()}")

    def _reason(self) -> str:
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines()]
        marked = [line for line in lines if "error" in line.lower()] or [line for line in lines if line]
        return (marked or ["it printed no reason"])[0]
