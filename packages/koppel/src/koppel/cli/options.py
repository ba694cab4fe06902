"""Options that commands of the installation share."""

from pathlib import Path
from typing import Annotated

import typer

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
