"""`koppel adopt`: a copy takes the place of the original, which is stopped first."""

import os
import socket
from typing import Annotated, Any

import typer

from koppel.cli.environment import data_directory, load_installation, load_module
from koppel.cli.options import DataDir
from koppel.kit import logging
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_record

RISK = (
    "If the original still runs, both renew the same consents; the accounting system takes that for theft"
    " and ends them, so that every firm must sign in again. Refresh tokens that the original used since the"
    " backup are refused, and those connections ask for a new sign-in. Mail and webhook messages that waited"
    " in the backup are not sent."
)
OldUrl = Annotated[str, typer.Option("--old", help="Public address of the original, which is stopped.")]
OldIsGone = Annotated[
    bool, typer.Option("--old-is-gone", help="The original cannot be reached and will never run again.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask what --old-is-gone may cost.")]


def adopt(
    data_dir: DataDir = None,
    old: OldUrl = "",
    old_is_gone: OldIsGone = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let this copy take the place of the original: stop that one, fetch its tokens, end the quarantine."""
    logging.configure()
    if bool(old) == old_is_gone:
        raise CommandError(
            "Give the original's address with --old, or --old-is-gone when it never runs again."
        )
    home = data_directory(data_dir)
    with load_installation(home, start_database=(home / "postgres").exists()):
        _require_copy()
        facts: dict[str, Any] = {"replaces": old or "gone"}
        if old:
            facts |= _take_over(old)
        elif not yes:
            typer.echo(RISK, err=True)
            typer.confirm("Does the original never run again?", abort=True, err=True)
        cancelled = load_module("koppel.organisations.people.quarantine").adopt(
            load_module("koppel.organisations.commands.acting").current_shell_operator(),
            replaces=facts["replaces"],
        )
    if cancelled is not None:
        facts |= {"emails_not_sent": cancelled.emails, "webhook_messages_not_sent": cancelled.messages}
    print_record({**facts, "quarantine": "off"}, as_json=as_json)


def _require_copy() -> None:
    period = load_module("koppel.kit.quarantine").current()
    if period is None:
        raise CommandError("This installation is not in quarantine; there is nothing to adopt.")
    if not period.reason.is_copy:
        raise CommandError(
            "This is no copy. `koppel quarantine off` ends the quarantine that was begun here."
        )


def _take_over(old: str) -> dict[str, Any]:
    """Have the original stopped, and store its tokens."""
    client = load_module("koppel.cli.commands.original_client")
    original = client.Original(old.rstrip("/"))
    code = load_module("koppel.kit.quarantine.replacement").new_code()
    page = original.request(code, f"{socket.gethostname()}: {os.environ['KOPPEL_DATA_DIR']}"[:200])
    typer.echo(
        f"Sign in at {page} as an operator of the original within 15 minutes, and type the code {code}, or"
        " one of your second step. Waiting …",
        err=True,
    )
    original.wait_until_stopped()
    handover = load_module("koppel.connections.vault")
    lost = sum(handover.import_grants(rows) for rows in original.grants())
    return {"consents_made_since_the_backup": lost}
