"""`koppel keys`: the keys that encrypt tokens and client secrets, for anyone with the installation's
shell.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from koppel.cli.environment import data_directory, new_vault_key
from koppel.connections.vault import WrongKey, key_uses, require_matching_keys, rotate_keys
from koppel.kit.cli.errors import CheckFailed, CommandError
from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.kit.database.embedded_postgres import write_private
from koppel.kit.encryption import Keyring, keyring
from koppel.organisations.commands.acting import shell_account

app = typer.Typer(no_args_is_help=True)

NOT_IN_A_FILE = (
    "This installation's keys come from KOPPEL_VAULT_KEYS, not from secrets.json: "
    "add the line that `koppel keys generate` prints"
    ' to it as docs/operations.md says under "Vault keys", then run `koppel keys rotate` without --new.'
)


@app.command("rotate")
def rotate(
    make_new: Annotated[
        bool, typer.Option("--new", help="Generate a new key first, stored in secrets.json.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Encrypt every secret again with the first key of KOPPEL_VAULT_KEYS, while Koppel runs. It can be
    repeated.
    """
    _refuse_unreadable_keys()
    try:
        require_matching_keys()
    except WrongKey as error:
        raise CheckFailed(str(error)) from None
    if make_new:
        _add_key()
    rotation = rotate_keys(shell_account())
    summary = {
        "key": rotation.key,
        "reencrypted": rotation.reencrypted,
        "unreadable": dict(rotation.unreadable),
    }
    print_record(summary, as_json=as_json)
    if rotation.unreadable:
        raise CheckFailed(
            f"Could not be opened, and left as they are: {rotation.unreadable.total()}. {rotation.reason}"
        )


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """Show how many secrets each key encrypts, and whether they open."""
    _refuse_unreadable_keys()
    print_rows(key_uses(), ("key", "secrets", "unreadable", "reason"), as_json=as_json)


@app.command("generate")
def generate() -> None:
    """Print a new key for KOPPEL_VAULT_KEYS. It is shown once and not stored."""
    typer.echo(new_vault_key())


def _refuse_unreadable_keys() -> None:
    try:
        keyring()
    except ValueError as unreadable:
        raise CheckFailed(str(unreadable)) from None


def _add_key() -> None:
    """Put a new key first in secrets.json. Running processes read it there when they meet its ciphertexts."""
    file = data_directory(None) / "secrets.json"
    try:
        stored_secrets = json.loads(file.read_text())
        is_ours = Keyring.parse(stored_secrets["KOPPEL_VAULT_KEYS"]).includes(keyring())
    except (OSError, ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise CommandError(NOT_IN_A_FILE)
    stored_secrets["KOPPEL_VAULT_KEYS"] = f"{new_vault_key()},{stored_secrets['KOPPEL_VAULT_KEYS']}"
    replace_secrets(file, stored_secrets)


def replace_secrets(file: Path, stored_secrets: Mapping[str, str]) -> None:
    """Write the file beside the old one and move it there: a half-written file would make all secrets
    unreadable.
    """
    beside = file.with_suffix(f".{secrets.token_hex(4)}")
    write_private(beside, json.dumps(stored_secrets, indent=1))
    beside.replace(file)
