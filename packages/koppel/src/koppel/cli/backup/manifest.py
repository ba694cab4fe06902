"""What a backup says about itself, in two JSON files.

`manifest.json` is never encrypted: what a restore must refuse before it reads anything else, and a checksum
of each file. `contents.json` is encrypted like the database: rows per table, roles and settings.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from koppel.kit.cli.errors import CommandError

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE, CONTENTS, SECRETS = "database.dump", "contents.json", "secrets.json"
ENCRYPTED = ".age"
PARTIAL = ".partial"
"""Ends the name of a folder that is being written, or whose writing was broken off."""
_NAME = re.compile(r"koppel-(\d{8}T\d{6}Z)")
_NAME_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, kw_only=True)
class BackupFile:
    """A file of a backup, as it is on disk."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ReaderRole:
    """A PostgreSQL role that reads books by SQL."""

    name: str
    verifier: str
    """What PostgreSQL stores of its password; '' when the role of the backup may not read that."""
    connection_limit: int
    settings: tuple[str, ...]
    """`name=value`."""


@dataclass(frozen=True)
class Manifest:
    """What is readable without a key. Versions of PostgreSQL are major ones."""

    format: int
    created_at: datetime
    koppel: str
    postgresql: int
    pg_dump: int
    owner: str
    application: str
    recipients: tuple[str, ...]
    """Public keys that the files are encrypted to; none: they are not encrypted."""
    vault_keys: Mapping[str, str]
    """Fingerprints of the keys that tokens are encrypted with, by id."""
    files: tuple[BackupFile, ...]

    @property
    def is_encrypted(self) -> bool:
        return bool(self.recipients)

    @property
    def has_secrets(self) -> bool:
        return any(file.name.removesuffix(ENCRYPTED) == SECRETS for file in self.files)

    def file_name(self, name: str) -> str:
        return f"{name}{ENCRYPTED}" if self.is_encrypted else name


@dataclass(frozen=True)
class Contents:
    """What is encrypted with the database."""

    rows: Mapping[str, int]
    """Number of rows of each table, in the snapshot of the backup."""
    migrations: tuple[str, ...]
    """`app.name` of each applied migration."""
    readers: tuple[ReaderRole, ...]
    settings: Mapping[str, str]
    """Settings that are no secrets, for the person who restores."""


def folder_name(moment: datetime) -> str:
    return f"koppel-{moment.astimezone(UTC).strftime(_NAME_FORMAT)}"


def moment_of(folder: Path) -> datetime | None:
    """Return when a backup was made, by its name; None when it is another folder."""
    match = _NAME.fullmatch(folder.name)
    return datetime.strptime(match.group(1), _NAME_FORMAT).replace(tzinfo=UTC) if match else None


def complete_backups(directory: Path) -> list[Path]:
    """Return the complete backups of a directory, the newest first."""
    if not directory.is_dir():
        return []
    folders = [folder for folder in directory.iterdir() if moment_of(folder) and (folder / MANIFEST).exists()]
    return sorted(folders, key=lambda folder: folder.name, reverse=True)


def to_json(record: Manifest | Contents) -> bytes:
    """Return the text of the file."""
    text = json.dumps(asdict(record), indent=1, default=lambda value: value.isoformat(), ensure_ascii=False)
    return f"{text}\n".encode()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a backup. Raises `CommandError`."""
    if folder.name.endswith(PARTIAL):
        raise CommandError(f"{folder} was not completed; take another backup.")
    try:
        stored: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if stored["format"] != FORMAT:
            raise CommandError(
                f"{folder} has format {stored['format']} and this Koppel reads {FORMAT}; use the Koppel "
                f"{stored.get('koppel', '')} that wrote it, or a newer one."
            )
        return Manifest(
            **{
                **stored,
                "created_at": datetime.fromisoformat(stored["created_at"]),
                "recipients": tuple(stored["recipients"]),
                "files": tuple(_file(file) for file in stored["files"]),
            }
        )
    except FileNotFoundError:
        raise CommandError(f"{folder} is no backup of Koppel: it has no {MANIFEST}.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{folder / MANIFEST} cannot be read ({error}); take another backup.") from None


def _file(stored: dict[str, Any]) -> BackupFile:
    """Return a file of the manifest; a name that leads out of the folder is an error."""
    file = BackupFile(**stored)
    if Path(file.name).name != file.name:
        raise ValueError(f"{file.name!r} is no name of a file")
    return file


def parse_contents(text: bytes) -> Contents:
    """Parse the encrypted file. Raises `CommandError`."""
    try:
        stored = json.loads(text)
        readers = tuple(
            ReaderRole(**{**reader, "settings": tuple(reader["settings"])}) for reader in stored["readers"]
        )
        return Contents(**{**stored, "migrations": tuple(stored["migrations"]), "readers": readers})
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{CONTENTS} of the backup cannot be read ({error}).") from None
