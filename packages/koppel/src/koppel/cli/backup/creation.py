"""Write a backup: one snapshot of the database, verified while it is written and read back afterwards.

The folder gets its name when all of it is on disk and verified; one that ends with `.partial` is worthless.
"""

import fcntl
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg

from koppel.cli.backup import source
from koppel.cli.backup.age_encryption import copy_encrypted
from koppel.cli.backup.client_programs import ClientPrograms, RunningProgram, programs_to_dump
from koppel.cli.backup.manifest import (
    CONTENTS,
    DATABASE,
    ENCRYPTED,
    FORMAT,
    MANIFEST,
    PARTIAL,
    SECRETS,
    BackupFile,
    Contents,
    Manifest,
    folder_name,
    to_json,
)
from koppel.cli.backup.streams import CopyingReader, MeasuringFile, Progress, verify_file
from koppel.kit.cli.errors import CommandError

SECRET_SETTINGS = ("KOPPEL_SECRET_KEY", "KOPPEL_VAULT_KEYS", "KOPPEL_AUDIT_KEYS")


@dataclass(frozen=True)
class BackupOptions:
    """`with_secrets`: the keys are part of the backup. `restored_into`: major version of PostgreSQL; None for
    that of the server.
    """

    directory: Path
    recipients: tuple[str, ...] = ()
    with_secrets: bool = False
    restored_into: int | None = None


@dataclass(frozen=True, kw_only=True)
class NewBackup:
    """A complete backup."""

    folder: Path
    manifest: Manifest
    rows: int


def create_backup(options: BackupOptions) -> NewBackup:
    """Write and verify a backup of this installation. Raises `CommandError`; nothing is left then."""
    url = source.backup_url()
    moment = datetime.now(UTC)
    name = folder_name(moment)
    try:
        with _alone_in(options.directory):
            partial = options.directory / f"{name}{PARTIAL}"
            partial.mkdir(mode=0o700)
            try:
                backup = _write(partial, url, options, moment)
                for file in backup.manifest.files:
                    verify_file(partial, file)
                _sync_folder(partial)
                partial.rename(options.directory / name)
                _sync_folder(options.directory)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    except OSError as error:
        raise CommandError(
            f"The backup could not be written to {options.directory}: {error.strerror}."
        ) from None
    return NewBackup(folder=options.directory / name, manifest=backup.manifest, rows=backup.rows)


@contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; remove what broken off backups left. Raises `CommandError`."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise CommandError(f"Another backup is being written to {directory}; wait for its end.") from None
        for remains in directory.glob(f"koppel-*{PARTIAL}"):
            shutil.rmtree(remains, ignore_errors=True)
        yield


def _write(folder: Path, url: str, options: BackupOptions, moment: datetime) -> NewBackup:
    with source.open_snapshot(url) as connection:
        server = connection.info.server_version // 10000
        programs = programs_to_dump(server, options.restored_into)
        files = [_dump(folder, url, programs, connection, options.recipients)]
        contents = Contents(
            rows=source.count_rows(connection),
            migrations=source.applied_migrations(connection),
            readers=source.reader_roles(connection),
            settings=source.settings_in_backup(),
        )
        owner, application = source.role_names(connection)
    files.append(_write_file(folder, CONTENTS, to_json(contents), options.recipients))
    if options.with_secrets:
        files.append(_write_file(folder, SECRETS, _secrets(), options.recipients))
    manifest = Manifest(
        format=FORMAT,
        created_at=moment,
        koppel=version("koppel"),
        postgresql=server,
        pg_dump=programs.major,
        owner=owner,
        application=application,
        recipients=options.recipients,
        vault_keys=source.vault_fingerprints(os.environ.get("KOPPEL_VAULT_KEYS", "")),
        files=tuple(files),
    )
    file = MeasuringFile(folder / MANIFEST)
    file.write(to_json(manifest))
    file.close()
    return NewBackup(folder=folder, manifest=manifest, rows=sum(contents.rows.values()))


def _dump(
    folder: Path,
    url: str,
    programs: ClientPrograms,
    connection: psycopg.Connection[Any],
    recipients: Sequence[str],
) -> BackupFile:
    """Dump the snapshot of the connection. `pg_restore` reads all of it meanwhile, before it is encrypted.

    Rights on PostgreSQL's own functions, whose arguments differ between versions, are not in the dump: the
    restore runs the superuser script.
    """
    row = connection.execute("SELECT pg_export_snapshot()").fetchone()
    snapshot = f"--snapshot={row[0] if row else ''}"
    dump = programs.command("pg_dump", url, "--format=custom", "--exclude-schema=pg_catalog", snapshot)
    restore = [str(programs.directory / "pg_restore"), f"--file={os.devnull}"]
    target = MeasuringFile(folder / _stored_name(DATABASE, recipients))
    progress = Progress("Database")
    with RunningProgram(dump, url, reads=False) as dumping, RunningProgram(restore, reads=True) as verifying:
        try:
            copy_encrypted(CopyingReader(dumping.pipe, verifying.pipe, progress), target, recipients)
        except Exception:
            dumping.require_alive()
            verifying.require_alive()
            raise
        dumping.finish()
        verifying.finish()
    progress.finish()
    return target.close()


def _write_file(folder: Path, name: str, content: bytes, recipients: Sequence[str]) -> BackupFile:
    target = MeasuringFile(folder / _stored_name(name, recipients))
    copy_encrypted(io.BytesIO(content), target, recipients)
    return target.close()


def _stored_name(name: str, recipients: Sequence[str]) -> str:
    return f"{name}{ENCRYPTED}" if recipients else name


def _secrets() -> bytes:
    """Return the keys in the form of a data directory's `secrets.json`."""
    stored = {name: os.environ[name] for name in SECRET_SETTINGS if os.environ.get(name)}
    return json.dumps(stored, indent=1).encode()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
