"""`koppel backup` and `koppel restore`, for anyone with the installation's shell."""

import os
import pwd
from pathlib import Path
from typing import Annotated

import typer

from koppel.cli.backup.age_encryption import parse_recipients
from koppel.cli.backup.creation import BackupOptions, create_backup
from koppel.cli.backup.daily_backup import backup_directory
from koppel.cli.backup.restoration import open_backup, require_known_migrations, target_secrets
from koppel.cli.backup.rotation import delete_older, parse_retention
from koppel.cli.backup.targets import refuse_existing_server, restore_embedded, restore_external
from koppel.cli.environment import (
    data_directory,
    has_external_database,
    installation_environment,
    load_installation,
    load_module,
    set_up_django,
)
from koppel.cli.options import DataDir
from koppel.kit import logging
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_record
from koppel.kit.database.embedded_postgres import write_private

Directory = Annotated[
    Path | None, typer.Option("--to", help="Folder of the backups [KOPPEL_BACKUP_DIR, else backups].")
]
Recipients = Annotated[
    list[str] | None,
    typer.Option("--encrypt-to", help="Public key, age1… or ssh-…; repeatable [KOPPEL_BACKUP_RECIPIENTS]."),
]
WithKeys = Annotated[
    bool | None,
    typer.Option("--with-keys/--without-keys", help="Include the keys; the default when it is encrypted."),
]
Keep = Annotated[
    str, typer.Option("--keep", help="Delete older ones: 14, or 7d,4w,12m [KOPPEL_BACKUP_KEEP, else all].")
]
ForPostgres = Annotated[
    int | None,
    typer.Option("--for-postgresql", help="Major version to restore into; by default the server's own."),
]
Identity = Annotated[
    Path | None, typer.Option("--identity", help="File with the private key, of age-keygen or ssh-keygen.")
]
AdministratorUrl = Annotated[
    str, typer.Option("--administrator-url", help="Superuser's address, for a database of your own.")
]
WithoutKeys = Annotated[
    bool,
    typer.Option("--without-keys", help="Restore without the keys: every connection needs a new sign-in."),
]


def backup(
    data_dir: DataDir = None,
    to: Directory = None,
    encrypt_to: Recipients = None,
    with_keys: WithKeys = None,
    keep: Keep = "",
    for_postgresql: ForPostgres = None,
    as_json: AsJson = False,
) -> None:
    """Write a backup while Koppel runs, verify it, and delete older ones."""
    logging.configure()
    home = data_directory(data_dir)
    retention = parse_retention(keep or os.environ.get("KOPPEL_BACKUP_KEEP", ""))
    recipients = parse_recipients(
        ",".join(encrypt_to) if encrypt_to else os.environ.get("KOPPEL_BACKUP_RECIPIENTS", "")
    )
    with load_installation(home, start_database=(home / "postgres").exists()):
        new = create_backup(
            BackupOptions(
                directory=to.absolute() if to else backup_directory(home, os.environ),
                recipients=recipients,
                with_secrets=bool(recipients) if with_keys is None else with_keys,
                restored_into=for_postgresql,
            )
        )
    deleted = delete_older(new.folder.parent, retention) if retention else []
    facts = {
        "backup": str(new.folder),
        "bytes": sum(file.bytes for file in new.manifest.files),
        "rows": new.rows,
        "encrypted": new.manifest.is_encrypted,
        "keys": "included" if new.manifest.has_secrets else "not included: keep secrets.json elsewhere",
        "restores_into": f"PostgreSQL {max(new.manifest.postgresql, new.manifest.pg_dump)} and newer",
        "deleted": [folder.name for folder in deleted],
    }
    print_record(facts, as_json=as_json)


def restore(
    folder: Annotated[Path, typer.Argument(help="The backup's folder.")],
    data_dir: DataDir = None,
    identity: Identity = None,
    administrator_url: AdministratorUrl = "",
    without_keys: WithoutKeys = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a data directory without a database, or the empty database of DATABASE_URL."""
    logging.configure()
    home = data_directory(data_dir)
    by = os.environ.get("SUDO_USER") or pwd.getpwuid(os.geteuid()).pw_name
    is_external = has_external_database()
    if not is_external:
        refuse_existing_server(home)
    opened = open_backup(folder.absolute(), identity)
    require_known_migrations(opened.contents, _migrations_of_this_version())
    secrets = target_secrets(opened, home, os.environ, without_keys=without_keys)
    home.mkdir(parents=True, exist_ok=True)
    if is_external:
        restore_external(opened, administrator_url, by=by)
        if secrets:
            write_private(home / "secrets.json", secrets.decode())
    else:
        restore_embedded(opened, home, secrets, by=by)
    if without_keys:
        installation_environment(home, generate=True)
    facts = {
        "restored": str(opened.folder),
        "backup_of": opened.manifest.created_at,
        "tables": len(opened.contents.rows),
        "rows": sum(opened.contents.rows.values()),
        "quarantine": "on",
        "settings_of_the_backup": dict(opened.contents.settings),
    }
    print_record(facts, as_json=as_json)


def _migrations_of_this_version() -> set[str]:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
    set_up_django()
    names = load_module("koppel.cli.preparation").migrations_of_this_version()
    if not names:
        raise CommandError("This Koppel has no migrations; install it anew.")
    return set(names)
