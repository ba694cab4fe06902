"""Restore a backup into an empty place. What could fail is examined before anything is written."""

import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from koppel.cli.backup import source
from koppel.cli.backup.age_encryption import copy_decrypted, read_decrypted
from koppel.cli.backup.client_programs import ClientPrograms, RunningProgram, programs_to_restore
from koppel.cli.backup.manifest import (
    CONTENTS,
    DATABASE,
    SECRETS,
    Contents,
    Manifest,
    ReaderRole,
    parse_contents,
    read_manifest,
)
from koppel.cli.backup.streams import Progress, ReportingReader, verify_file
from koppel.kit.cli.errors import CheckFailed, CommandError
from koppel.kit.database.superuser_script import superuser_script
from koppel.kit.tenancy import INSTALLATION, set_scope_sql
from koppel.notifications.audit_actions import QuarantineAction

_QUARANTINE = """
INSERT INTO public.kit_quarantine (began_by, ended_by, sends_pending, reason)
VALUES (%(by)s, '', false, %(reason)s)
ON CONFLICT (ended_at) WHERE ended_at IS NULL DO UPDATE SET reason = excluded.reason
"""
_AUDIT_ENTRIES = """
SELECT public.audit_append(log.id, %(actor)s::jsonb, %(action)s, '', NULL, '', %(details)s::jsonb)
  FROM (SELECT 0::bigint UNION ALL SELECT id FROM public.organisations_organisation) AS log(id)
"""
"""One in the installation's audit log, and one in each organisation's."""


@dataclass(frozen=True)
class Backup:
    """A backup whose files are whole, and that opens with the given key."""

    folder: Path
    manifest: Manifest
    contents: Contents
    identity_file: Path | None

    def secrets(self) -> bytes:
        """Return the content of `secrets.json`; b'' when the backup has none."""
        if not self.manifest.has_secrets:
            return b""
        return read_decrypted(self.folder / self.manifest.file_name(SECRETS), self.identity_file)


@dataclass(frozen=True)
class Target:
    """An empty database on a server that runs."""

    superuser_url: str
    owner: str
    application: str


def open_backup(folder: Path, identity_file: Path | None) -> Backup:
    """Read and verify a backup. Raises `CommandError`."""
    manifest = read_manifest(folder)
    if manifest.is_encrypted and identity_file is None:
        raise CommandError(
            f"The backup is encrypted to {', '.join(manifest.recipients)}: give the file with the private key"
            " with --identity."
        )
    opened_with = identity_file if manifest.is_encrypted else None
    names = {file.name for file in manifest.files}
    for name in (DATABASE, CONTENTS):
        if manifest.file_name(name) not in names:
            raise CommandError(f"{folder} is not complete: {manifest.file_name(name)} is not listed.")
    for file in manifest.files:
        verify_file(folder, file)
    contents = parse_contents(read_decrypted(folder / manifest.file_name(CONTENTS), opened_with))
    return Backup(folder, manifest, contents, opened_with)


def require_known_migrations(contents: Contents, of_this_version: set[str]) -> None:
    """Require that this Koppel is not older than the backup. Raises `CommandError`."""
    apps = {name.partition(".")[0] for name in of_this_version}
    unknown = [
        name for name in contents.migrations if name not in of_this_version and name.partition(".")[0] in apps
    ]
    if unknown:
        raise CommandError(
            f"The backup was made by a newer Koppel: it has the migration {unknown[0]}, which this one does"
            " not. Install that version first."
        )


def require_matching_keys(manifest: Manifest, vault_keys: str, where: str) -> None:
    """Require that these keys open the tokens of the backup. Raises `CommandError`."""
    present = source.vault_fingerprints(vault_keys)
    missing = [name for name, digest in manifest.vault_keys.items() if present.get(name) != digest]
    if missing:
        raise CommandError(
            f"{where} belongs to another installation: the backup's key {missing[0]} is not in it."
            " Restore into another data directory, or set the keys of the backup."
        )


def target_secrets(
    backup: Backup, home: Path, environment: Mapping[str, str], *, without_keys: bool
) -> bytes:
    """Return what `secrets.json` in `home` gets: the backup's keys, or b'' where it has or needs none.

    Raises `CommandError` when keys of another installation are there, and when there are none.
    """
    file = home / "secrets.json"
    if environment.get("KOPPEL_VAULT_KEYS"):
        require_matching_keys(backup.manifest, environment["KOPPEL_VAULT_KEYS"], "KOPPEL_VAULT_KEYS")
    elif file.exists():
        with suppress(ValueError, KeyError, TypeError):
            require_matching_keys(
                backup.manifest, json.loads(file.read_text())["KOPPEL_VAULT_KEYS"], str(file)
            )
            return b""
        raise CommandError(f"{file} cannot be read; restore into another data directory.")
    elif backup.manifest.has_secrets:
        return backup.secrets()
    elif not without_keys:
        raise CommandError(
            f"The backup has no keys. Put its installation's secrets.json into {home} first, or set"
            " KOPPEL_VAULT_KEYS and KOPPEL_SECRET_KEY. Where they are lost, --without-keys restores without"
            " them: every connection then needs a new sign-in."
        )
    return b""


def restore_database(backup: Backup, target: Target, programs: ClientPrograms, *, by: str) -> None:
    """Restore into an empty database to which the application may not connect, and put it into quarantine.

    Raises `CommandError`; the application may not connect then.
    """
    with psycopg.connect(target.superuser_url, autocommit=True) as connection:
        _create_readers(connection, backup.contents.readers)
    _run_pg_restore(backup, target.superuser_url, programs)
    with psycopg.connect(target.superuser_url, autocommit=True) as connection:
        _compare_rows(backup.contents, source.count_rows(connection))
        connection.execute(_QUARANTINE, {"by": by, "reason": "restored"})
        _add_audit_entries(connection, backup.manifest, by)
        connection.execute(
            superuser_script(connection.info.dbname, target.owner, target.application).encode()
        )
        connection.execute("ANALYZE")
        for reader in backup.contents.readers:
            connection.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(
                    sql.Identifier(connection.info.dbname), sql.Identifier(reader.name)
                )
            )


def _add_audit_entries(connection: psycopg.Connection[Any], manifest: Manifest, by: str) -> None:
    actor = {
        "kind": "operator",
        "id": None,
        "name": by,
        "ip_address": f"shell: {by}@{socket.gethostname()}"[:60],
        "interface": "cli",
    }
    with connection.transaction():
        connection.execute(*set_scope_sql(INSTALLATION))
        connection.execute(
            _AUDIT_ENTRIES,
            {
                "actor": json.dumps(actor),
                "action": QuarantineAction.RESTORED.value,
                "details": json.dumps({"backup_of": manifest.created_at.isoformat()}),
            },
        )


def _run_pg_restore(backup: Backup, url: str, programs: ClientPrograms) -> None:
    file = backup.folder / backup.manifest.file_name(DATABASE)
    progress = Progress("Restoring", file.stat().st_size)
    command = programs.command("pg_restore", url, "--exit-on-error")
    with RunningProgram(command, url, reads=True) as restoring, file.open("rb") as dump:
        try:
            copy_decrypted(ReportingReader(dump, progress), restoring.pipe, backup.identity_file)
        except Exception:
            restoring.require_alive()
            raise
        restoring.finish()
    progress.finish()


def _create_readers(connection: psycopg.Connection[Any], readers: tuple[ReaderRole, ...]) -> None:
    """Create the roles of SQL readers that the server does not have; the dump grants them rights."""
    for reader in readers:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [reader.name]).fetchone():
            continue
        name = sql.Identifier(reader.name)
        password = (
            sql.SQL(" PASSWORD {}").format(sql.Literal(reader.verifier)) if reader.verifier else sql.SQL("")
        )
        connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN NOINHERIT CONNECTION LIMIT {}{}").format(
                name, sql.Literal(reader.connection_limit), password
            )
        )
        for setting in reader.settings:
            key, _, content = setting.partition("=")
            connection.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(key), sql.Literal(content))
            )


def _compare_rows(contents: Contents, restored: Mapping[str, int]) -> None:
    """Compare every table with the backup. Raises `CheckFailed`."""
    tables = sorted({*contents.rows, *restored})
    different = [table for table in tables if contents.rows.get(table) != restored.get(table)]
    if different:
        table = different[0]
        raise CheckFailed(
            f"The restored database differs in {len(different)} tables: {table} has {restored.get(table)}"
            f" rows and had {contents.rows.get(table)}. Do not use it."
        )


def programs_for(manifest: Manifest, server: int) -> ClientPrograms:
    """Return the programs that restore a backup into a server of this version. Raises `CommandError`."""
    oldest = max(manifest.postgresql, manifest.pg_dump)
    if server < oldest:
        raise CommandError(
            f"The backup needs PostgreSQL {oldest} or newer, and this server is {server}; nothing was"
            f" written. `koppel backup --for-postgresql` chooses the version, from {manifest.postgresql} on."
        )
    return programs_to_restore(manifest.pg_dump, server)
