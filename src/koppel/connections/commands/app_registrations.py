"""`koppel app-registrations`: those of the installation. An organisation keeps its own on its pages."""

import getpass
import sys
from typing import Annotated

import typer

from koppel.connections.app_registrations import installation
from koppel.connections.app_registrations.redirects import redirect_uri
from koppel.connections.app_registrations.services import AppValues
from koppel.kit.cli.errors import Refusal, refusals
from koppel.kit.cli.output import AsJson, print_one, print_rows
from koppel.kit.secrets import Secret
from koppel.organisations.commands.acting import account_of_shell

app = typer.Typer(no_args_is_help=True)
One = Annotated[int, typer.Argument(help="Id; `koppel app-registrations list` has them.")]
COLUMNS = ("id", "place", "client_id", "name", "connections")


@app.command("add")
def add(
    place: Annotated[str, typer.Argument(help="system/environment/way to sign in; a wrong one is answered with all.")],
    client_id: Annotated[str, typer.Option(help="As the vendor's portal shows it.")],
    name: Annotated[str, typer.Option(help="Your own word for it.")] = "",
    refresh_days: Annotated[int | None, typer.Option(help="How long refresh tokens live, as chosen there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Keep an app registration for all organisations. The secret is asked for, or read from standard input."""
    if place not in installation.places():
        raise Refusal(f"There is no {place}; choose one of {', '.join(installation.places())}.")
    connector, environment, mode = place.split("/")
    secret = _secret()
    with refusals():
        values = AppValues(connector, environment, mode, client_id, secret, name, refresh_days)
        made = installation.add_app(account_of_shell(), values)
    print_one({"id": made.pk, "place": place, "redirect_address": redirect_uri()}, as_json=as_json)


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """Those of the installation, with how many connections use them."""
    rows = [
        {
            "id": one.pk,
            "place": f"{one.connector}/{one.environment}/{one.consent_mode}",
            "client_id": one.client_id,
            "name": one.name,
            "connections": getattr(one, "connection_count", 0),
        }
        for one in installation.apps()
    ]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("test")
def try_one(app_id: One, as_json: AsJson = False) -> None:
    """A real call at the vendor that grants nothing. Exit code 1 when it is refused."""
    with refusals():
        outcome = installation.try_app(app_id)
    print_one({"works": outcome.is_well, "sentence": outcome.sentence}, as_json=as_json)
    if not outcome.is_well:
        raise typer.Exit(1)


@app.command("remove")
def remove(app_id: One, as_json: AsJson = False) -> None:
    """Take an unused one away, with its secret."""
    with refusals():
        installation.remove_app(account_of_shell(), app_id)
    print_one({"removed": app_id}, as_json=as_json)


def _secret() -> Secret | None:
    """Never an argument: those stand in the shell's history and in the list of processes."""
    text = getpass.getpass("Client secret: ") if sys.stdin.isatty() else sys.stdin.readline()
    return Secret(text.strip()) if text.strip() else None
