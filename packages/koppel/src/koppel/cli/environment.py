"""The environment of every program of an installation, prepared before Django reads its settings.

A variable that is set wins. Missing values come from the data directory: addresses of the embedded database,
and secrets that are generated once (`secrets.json`, 0600).
"""

import base64
import json
import os
import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import django
import psycopg
import structlog
from django.core.exceptions import ImproperlyConfigured

from koppel.cli.ports import WEB_PORT
from koppel.kit import logging
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import (
    Addresses,
    DataDirectoryInUse,
    EmbeddedPostgres,
    failure_reason,
    running_addresses,
    write_private,
)
from koppel.kit.database.health.service_notifications import notify_waiting
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
SECRETS, SECRETS_FILE = ("KOPPEL_SECRET_KEY", "KOPPEL_VAULT_KEYS"), "secrets.json"
WAITING_REPORT_SECONDS, WAITING_POLL_SECONDS = 60.0, 1.0
TEMPORARY_REFUSALS = (
    "is starting up",
    "is shutting down",
    "not yet accepting connections",
    "in recovery mode",
    "too many",
    "remaining connection slots",
)
"""Refusals of a server that will accept connections later."""
OWNER_MISSING = (
    "KOPPEL_OWNER_DATABASE_URL is not set: migrations run as the role that owns the tables; "
    "set it to that role's address"
    " (docs/operations.md, Roles)."
)

log = structlog.get_logger(__name__)


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


def external_database_variables(*, waits: bool = False) -> dict[str, str]:
    """Return `DATABASE_URL` and the owner's address, after connecting to each; a program `waits` for them.

    Raises `CommandError`.
    """
    urls = {}
    for name in ("DATABASE_URL", OWNER_VARIABLE):
        if url := os.environ.get(name):
            if waits:
                wait_until_reachable(url, name)
            else:
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
        reason = _connection_failure(error, url)
        raise CommandError(
            f"The database in {name} cannot be used: {reason}; correct {name} or unset it."
        ) from None


def wait_until_reachable(url: str, name: str) -> None:
    """Wait until the database answers, with a line in the log each minute: machines start in any order.

    Raises `CommandError` when the server answers and refuses, as with a wrong password.
    """
    reported_at: float | None = None
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if not _is_temporary(error):
                require_reachable(url, name)
            if reported_at is None or time.monotonic() - reported_at >= WAITING_REPORT_SECONDS:
                reported_at = time.monotonic()
                reason = _connection_failure(error, url)
                log.warning(
                    "waiting_for_database", reason=f"The database in {name} does not answer: {reason}."
                )
        except (psycopg.Error, UnicodeError):
            require_reachable(url, name)
        else:
            return
        notify_waiting()
        time.sleep(WAITING_POLL_SECONDS)


def _is_temporary(error: psycopg.OperationalError) -> bool:
    """Return whether no server answers, or one that starts, stops or has no connections left."""
    return "FATAL:" not in str(error) or any(message in str(error) for message in TEMPORARY_REFUSALS)


def _connection_failure(error: Exception, url: str) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return _mask_password(lines[0] if lines else type(error).__name__, url).rstrip(".")


def installation_environment(
    home: Path, *, public_url: str | None = None, generate: bool = True
) -> dict[str, str]:
    """Return the variables of the installation except those of the database. `generate=False`: raise
    `CommandError` instead of generating secrets.

    Two machines with different secrets could not read each other's data, so only the command that owns an
    installation generates them.
    """
    stored_secrets = _stored_secrets(home, generate=generate)
    variables = {
        "DJANGO_SETTINGS_MODULE": "koppel.settings",
        "KOPPEL_DATA_DIR": str(home),
        "KOPPEL_PUBLIC_URL": public_url
        or os.environ.get("KOPPEL_PUBLIC_URL")
        or _stored_address(home)
        or DEFAULT_ADDRESS,
        **{name: os.environ.get(name) or value for name, value in stored_secrets.items()},
    }
    if mail := os.environ.get("KOPPEL_MAIL_DIR") or (
        "" if os.environ.get("KOPPEL_SMTP_URL") else str(home / "mail")
    ):
        Path(mail).mkdir(parents=True, exist_ok=True)
        variables["KOPPEL_MAIL_DIR"] = mail
    return variables


def load_installation(
    home: Path, *, start_database: bool, generate: bool = False, waits: bool = False
) -> ExitStack:
    """Make this process a part of the installation and load Django. Close the result to stop a database that
    it started.

    The database is `DATABASE_URL`, else the embedded server that runs in `home`, else (with `start_database`)
    that server started for as long as this process needs it. A program `waits` for a server of one's own.
    Raises `CommandError`.
    """
    exit_stack = ExitStack()
    database = _database_for_one_command(home, exit_stack, start_database=start_database, waits=waits)
    if generate:
        require_secrets_of(database, home)
    export_environment({**installation_environment(home, generate=generate), **database})
    set_up_django()
    exit_stack.callback(_close_vendor_calls)
    return exit_stack


def load_for_group(*, starts_database: bool) -> ExitStack:
    """Load Django with the installation's database; for `--help` without one, so that help needs nothing
    running.
    """
    logging.configure()
    if starts_database:
        home = data_directory(None)
        return load_installation(home, start_database=(home / "postgres").exists())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "koppel.settings")
    set_up_django()
    return ExitStack()


def _close_vendor_calls() -> None:
    """Close what calls to accounting systems keep open, while there is a database."""
    if (sessions := sys.modules.get("koppel.connections.sessions")) is not None:
        sessions.close_blocking_calls()


def require_secrets_of(database: Mapping[str, str], home: Path) -> None:
    """Require that the secrets of a database that has tables are there: with generated ones nothing that is
    encrypted in it could be read. Raises `CommandError`.
    """
    if (home / SECRETS_FILE).exists() or all(os.environ.get(name) for name in SECRETS):
        return
    with psycopg.connect(database["DATABASE_URL"]) as connection:
        row = connection.execute("SELECT to_regclass('public.kit_installation') IS NOT NULL").fetchone()
    if row and row[0]:
        raise CommandError(
            f"The database has been used before, and its secrets are missing: {home / SECRETS_FILE}. "
            "Restore that file from a backup, or set KOPPEL_SECRET_KEY and KOPPEL_VAULT_KEYS; without them "
            "the stored tokens cannot be read. To go on with new ones, set both to new values, "
            'as docs/operations.md says under "On several machines".'
        )


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


def _database_for_one_command(
    home: Path, exit_stack: ExitStack, *, start_database: bool, waits: bool
) -> dict[str, str]:
    if has_external_database():
        return external_database_variables(waits=waits)
    if addresses := running_addresses(home / "postgres"):
        return embedded_database_variables(addresses)
    if start_database:
        try:
            embedded = exit_stack.enter_context(EmbeddedPostgres(home / "postgres"))
        except DataDirectoryInUse as error:
            if not (home / "postgres" / "cluster").exists():
                raise
            raise CommandError(
                "The embedded database of the Koppel that runs here "
                f"(process {error.process}) does not answer: {failure_reason(home / 'postgres')}."
            ) from None
        return embedded_database_variables(embedded.addresses)
    raise CommandError(
        f"No database: DATABASE_URL is not set and no Koppel runs in {home};"
        " set DATABASE_URL, or start everything with `koppel up`."
    )


def _stored_secrets(home: Path, *, generate: bool) -> dict[str, str]:
    """Return `KOPPEL_SECRET_KEY` and `KOPPEL_VAULT_KEYS` of this data directory.

    With `KOPPEL_AUDIT_KEYS` where that is stored too; without it heads of the audit log are not signed.
    """
    if all(os.environ.get(name) for name in SECRETS):
        return {name: os.environ[name] for name in SECRETS}
    file = home / SECRETS_FILE
    try:
        stored = json.loads(file.read_text())
        required = {name: stored[name] for name in SECRETS}
        audit_keys = stored.get(AUDIT_KEYS)
        return required | ({AUDIT_KEYS: audit_keys} if audit_keys else {})
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
        **dict(zip(SECRETS, (secrets.token_urlsafe(50), new_vault_key()), strict=True)),
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
