"""Options that commands of the installation share."""

from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer


def print_version(value: bool) -> None:
    """Print the installed version and exit when the option is given."""
    if value:
        # Imported here: it takes a tenth of the start of every command.
        typer.echo(import_module("importlib.metadata").version("koppel"))
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=print_version, is_eager=True, help="Print the version and exit."),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Data directory [KOPPEL_DATA_DIR, else ./data].")
]
Port = Annotated[int, typer.Option("--port", help="Port of the web.")]
Host = Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")]
Quarantined = Annotated[
    bool,
    typer.Option(
        "--quarantined",
        help="Put the installation into quarantine first: nothing leaves it. Use it for every restored copy.",
    ),
]
