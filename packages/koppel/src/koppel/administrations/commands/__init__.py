"""`koppel administrations`: commands on the services of the pages."""

import typer

from koppel.administrations.commands.bulk import bulk_commands
from koppel.administrations.commands.change import app as change
from koppel.administrations.commands.lifecycle import app as lifecycle
from koppel.administrations.commands.list import app as listing

app = typer.Typer(no_args_is_help=True)
for commands in (listing, bulk_commands(), change, lifecycle):
    app.add_typer(commands)
