"""The environment of every program of an installation, prepared before Django reads its settings.

A variable that is set wins. Missing values come from the data directory: addresses of the embedded database,
and secrets that are generated once (`secrets.json`, 0600).
"""

import base64
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import psycopg
from django.core.exceptions import ImproperlyConfigured

from koppel.cli.ports import WEB_PORT
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import (
    Addresses,
    EmbeddedPostgres,
    running_addresses,
    write_private,
)
from koppel.kit.http.calls_in_progress import token_stop_seconds

DATA_DIRECTORY = Path("data")
DEMO_DATA_DIRECTORY = Path("data/demo")
DEFAULT_ADDRESS = f"http://localhost:{WEB_PORT}"
ADDRESS_FILE = "public-url"
OWNER_VARIABLE = "KOPPEL_OWNER_DATABASE_URL"
BACKUP_VARIABLE = "KOPPEL_BACKUP_DATABASE_URL"
PRIVILEGED_VARIABLES = (OWNER_VARIABLE, BACKUP_VARIABLE)
"""Addresses of roles to which row level security does not apply."""
AUDIT_KEYS = "KOPPEL_AUDIT_KEYS"
OWNER_MISSING = (
    "KOPPEL_OWNER_DATABASE_URL is not set: migrations run as the role that owns the tables; "
    "set it to that role's address"
    " (docs/operations.md, Roles)."
)


def data_directory(option: Path | None, default: Path = DATA_DIRECTORY) -> Path:
    """Return the flag, else `KOPPEL_DATA_DIR`, else the default below the working directory."""
    return (option or Path(os.environ.get("KOPPEL_DATA_DIR") or default)).absolute()


def store_address(home: Path, public_url: str) -> None:
    """Store the public address for commands in other shells, which would assume the default."""
    home.mkdir(parents=True, exist_ok=True)
    (home / ADDRESS_FILE).write_text(f"{public_url}\n")


def _stored_address(home: Path) -> str:
    try:
        return (home / ADDRESS_FILE).read_text().strip()
    except OSError:
        return ""


def has_external_database() -> bool:
    return bool(os.environ.get("DATABASE_URL"))


def external_database_variables() -> dict[str, str]:
    """Return `DATABASE_URL` and the owner's address, after connecting to each. Raises `CommandError`."""
    urls = {}
    for name in ("DATABASE_URL", OWNER_VARIABLE):
        if url := os.environ.get(name):
            require_reachable(url, name)
            urls[name] = url
    return urls


def worker_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without privileged addresses: a process that reads them could switch row level
    security off.
    """
    return {name: value for name, value in environment.items() if name not in PRIVILEGED_VARIABLES}


def web_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker without the keys that sign the audit log, which only jobs use."""
    return {name: value for name, value in worker_environment(environment).items() if name != AUDIT_KEYS}


def environment_without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without variables of Koppel and its database, for programs that are not Koppel's
    own, such as the sandbox.
    """
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("KOPPEL_", "DATABASE_URL", "DJANGO_", "PG"))
    }


def restrict_permissions(home: Path) -> None:
    """Remove other accounts' permissions on a data directory, which an older version may have granted."""
    cluster = home / "postgres" / "cluster"
    is_owned_by_other_user = cluster.exists() and cluster.stat().st_uid != os.geteuid()
    for folder in (home, home / "postgres", home / "logs", home / "mail"):
        if not folder.is_dir() or folder.stat().st_uid != os.geteuid():
            continue
        folder.chmod(folder.stat().st_mode & (0o711 if is_owned_by_other_user else 0o700))
        for file in folder.iterdir():
            if file.is_file() and not file.is_symlink() and file.stat().st_uid == os.geteuid():
                file.chmod(file.stat().st_mode & 0o600)


def embedded_database_variables(addresses: Addresses) -> dict[str, str]:
    return {"DATABASE_URL": addresses.app_url, OWNER_VARIABLE: addresses.owner_url}


def require_reachable(url: str, name: str) -> None:
    """Require that the database answers. Raises `CommandError` with the server's reason, without the
    password.
    """
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except (psycopg.Error, UnicodeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = _mask_password(lines[0] if lines else type(error).__name__, url)
        raise CommandError(
            f"The database in {name} cannot be used: {reason.rstrip('.')}; correct {name} or unset it."
        ) from None


def installation_environment(
    home: Path, *, public_url: str | None = None, generate: bool = True
) -> dict[str, str]:
    """Return the variables of the installation except those of the database. `generate=False`: raise
    `CommandError` instead of generating secrets.

    Two machines with different secrets could not read each other's data, so only the command that owns an
    installation generates them.
    """
    kept = _stored_secrets(home, generate=generate)
    variables = {
        "DJANGO_SETTINGS_MODULE": "koppel.settings",
        "KOPPEL_DATA_DIR": str(home),
        "KOPPEL_PUBLIC_URL": public_url
        or os.environ.get("KOPPEL_PUBLIC_URL")
        or _stored_address(home)
        or DEFAULT_ADDRESS,
        **{name: os.environ.get(name) or value for name, value in kept.items()},
    }
    if mail := os.environ.get("KOPPEL_MAIL_DIR") or (
        "" if os.environ.get("KOPPEL_SMTP_URL") else str(home / "mail")
    ):
        Path(mail).mkdir(parents=True, exist_ok=True)
        variables["KOPPEL_MAIL_DIR"] = mail
    return variables


def load_installation(home: Path, *, start_database: bool, generate: bool = False) -> ExitStack:
    """Make this process a part of the installation and load Django. Close the result to stop a database that
    it started.

    The database is `DATABASE_URL`, else the embedded server that runs in `home`, else (with `start_database`)
    that server started for as long as this process needs it. Raises `CommandError`.
    """
    exit_stack = ExitStack()
    database = _database_for_one_command(home, exit_stack, start_database=start_database)
    export_environment({**installation_environment(home, generate=generate), **database})
    set_up_django()
    return exit_stack


def load_module(name: str) -> Any:
    """Import a module that needs Django, from modules that are imported before the environment is ready. Call
    it after `load_installation`.
    """
    return import_module(name)


def set_up_django() -> None:
    """Load Django with the settings. Raises `CommandError` when a variable has an invalid value."""
    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from None


def export_environment(environment: Mapping[str, str]) -> None:
    """Set this process's environment."""
    os.environ.update(environment)


def _database_for_one_command(home: Path, exit_stack: ExitStack, *, start_database: bool) -> dict[str, str]:
    if has_external_database():
        return external_database_variables()
    if addresses := running_addresses(home / "postgres"):
        return embedded_database_variables(addresses)
    if start_database:
        return embedded_database_variables(
            exit_stack.enter_context(EmbeddedPostgres(home / "postgres")).addresses
        )
    raise CommandError(
        f"No database: DATABASE_URL is not set and no Koppel runs in {home};"
        " set DATABASE_URL, or start everything with `koppel up`."
    )


def _stored_secrets(home: Path, *, generate: bool) -> dict[str, str]:
    """Return `KOPPEL_SECRET_KEY` and `KOPPEL_VAULT_KEYS` of this data directory.

    With `KOPPEL_AUDIT_KEYS` where that is stored too; without it heads of the audit log are not signed.
    """
    names = ("KOPPEL_SECRET_KEY", "KOPPEL_VAULT_KEYS")
    if all(os.environ.get(name) for name in names):
        return {name: os.environ[name] for name in names}
    file = home / "secrets.json"
    try:
        stored = json.loads(file.read_text())
        kept = {name: stored[name] for name in names}
        audit_keys = stored.get(AUDIT_KEYS)
        return kept | ({AUDIT_KEYS: audit_keys} if audit_keys else {})
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        raise CommandError(
            f"{file} holds this installation's secrets and cannot be read; restore it from a backup."
        ) from None
    if not generate:
        raise CommandError(
            "KOPPEL_SECRET_KEY and KOPPEL_VAULT_KEYS are not set, and there are none in the data directory"
            f" {home}; set both to the values that the other machines of this installation use."
        )
    home.mkdir(parents=True, exist_ok=True)
    generated = {
        **dict(zip(names, (secrets.token_urlsafe(50), new_vault_key()), strict=True)),
        AUDIT_KEYS: new_signing_key(),
    }
    write_private(file, json.dumps(generated, indent=1))
    return generated


def new_vault_key() -> str:
    """Return `id:base64` of 32 random bytes, as `KOPPEL_VAULT_KEYS` needs it. The id is random, so that keys
    are never confused.
    """
    return f"k{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def new_signing_key() -> str:
    """Return an Ed25519 key as `KOPPEL_AUDIT_KEYS` needs it: base64 of 32 random bytes."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _mask_password(text: str, url: str) -> str:
    _, _, behind = url.partition("://")
    password = behind.partition("@")[0].partition(":")[2]
    return text.replace(password, "…") if password else text


def stop_seconds(environment: Mapping[str, str]) -> float:
    """Return how long a stop waits for a token. Raises `CommandError`."""
    try:
        return token_stop_seconds(environment)
    except ValueError:
        raise CommandError(
            "KOPPEL_TOKEN_STOP_SECONDS is set to something that Koppel cannot read; "
            "docs/operations.md says under Settings what"
            " it may be."
        ) from None


def begin_quarantine() -> None:
    """Begin a quarantine in the name of the account of the shell; Django must be set up."""
    load_module("koppel.cli.commands.quarantine").begin()
