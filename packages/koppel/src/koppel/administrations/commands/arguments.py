"""Arguments and options that commands about administrations share."""

from typing import Annotated

import typer

AdministrationId = Annotated[
    int, typer.Argument(help="Id of the administration; `koppel administrations list` has them.")
]
Ids = Annotated[list[int] | None, typer.Argument(help="Ids of administrations.")]
Matching = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help="Instead of ids: all that match, as in the list's address bar: 'status=failed&division=3'.",
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="Instead of ids or a filter: all that you may see.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]
