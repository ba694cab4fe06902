"""`koppel app-registrations`: the installation's app registrations. An organisation manages its own on its
pages.
"""

import getpass
import sys
from typing import Annotated

import typer

from koppel.connections.app_registrations import installation_apps
from koppel.connections.app_registrations.redirects import redirect_uri
from koppel.connections.inputs import AppRegistrationInput
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.kit.encryption import Secret
from koppel.organisations.commands.acting import shell_account

app = typer.Typer(no_args_is_help=True)
AppIdArgument = Annotated[int, typer.Argument(help="Id; `koppel app-registrations list` has them.")]
COLUMNS = ("id", "consent_mode", "client_id", "name", "connections")


@app.command("create")
def create_app(
    consent_mode: Annotated[
        str, typer.Argument(help="system/environment/way to sign in; a wrong value lists all.")
    ],
    client_id: Annotated[str, typer.Option(help="The client id that the vendor's portal shows.")],
    name: Annotated[str, typer.Option(help="Your own name for it.")] = "",
    refresh_token_days: Annotated[
        int | None, typer.Option(help="Lifetime of refresh tokens in days, as chosen there.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create an app registration for all organisations. The secret is prompted for, or read from standard
    input.
    """
    if consent_mode not in installation_apps.consent_modes():
        raise CommandError(
            f"There is no {consent_mode}; choose one of {', '.join(installation_apps.consent_modes())}."
        )
    connector, environment, mode = consent_mode.split("/")
    secret = _secret()
    values = AppRegistrationInput(
        connector=connector,
        environment=environment,
        consent_mode=mode,
        client_id=client_id,
        client_secret=secret,
        name=name,
        refresh_token_days=refresh_token_days,
    )
    created = installation_apps.add_app(shell_account(), values)
    print_record(
        {"id": created.pk, "consent_mode": consent_mode, "redirect_address": redirect_uri()}, as_json=as_json
    )


@app.command("list")
def list_apps(as_json: AsJson = False) -> None:
    """List the installation's app registrations, with the number of connections that use each."""
    rows = [
        {
            "id": registration.pk,
            "consent_mode": (
                f"{registration.connector}/{registration.environment}/{registration.consent_mode}"
            ),
            "client_id": registration.client_id,
            "name": registration.name,
            "connections": getattr(registration, "connection_count", 0),
        }
        for registration in installation_apps.list_apps()
    ]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("test")
def check_app(app_id: AppIdArgument, as_json: AsJson = False) -> None:
    """Make a real call at the vendor that grants nothing. Exit code 1 when it is refused."""
    outcome = installation_apps.check_app(app_id)
    print_record({"works": outcome.is_ok, "message": outcome.message}, as_json=as_json)
    if not outcome.is_ok:
        raise typer.Exit(1)


@app.command("delete")
def delete_app(app_id: AppIdArgument, as_json: AsJson = False) -> None:
    """Delete an unused app registration, with its secret."""
    installation_apps.remove_app(shell_account(), app_id)
    print_record({"deleted": app_id}, as_json=as_json)


def _secret() -> Secret | None:
    """Read the secret, never from an argument: arguments are in the shell's history and the list of
    processes.
    """
    text = getpass.getpass("Client secret: ") if sys.stdin.isatty() else sys.stdin.readline()
    return Secret(text.strip()) if text.strip() else None
