"""`koppel migrate`, and the hidden `koppel prepare` that `koppel up` runs before its programs."""

import json
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from koppel.cli.environment import begin_quarantine, data_directory, load_installation, load_module
from koppel.cli.options import DataDir, Quarantined
from koppel.kit import logging

PREPARATION = "koppel.cli.preparation"


def migrate(data_dir: DataDir = None) -> None:
    """Create or upgrade the tables, as the role that owns them (KOPPEL_OWNER_DATABASE_URL)."""
    with load_installation(data_directory(data_dir), start_database=True, generate=True):
        load_module(PREPARATION).migrate(verbosity=1)
    Console(stderr=True).print("All migrations are applied.")


def prepare(demo_sandbox_url: Annotated[str, typer.Option()] = "", quarantined: Quarantined = False) -> None:
    """Migrate, start the quarantine if requested, and create the demo firm if there is a sandbox.

    Prints the facts of the demo, and who is here, as JSON.
    """
    logging.configure()
    with load_installation(data_directory(None), start_database=False):
        preparation = load_module(PREPARATION)
        preparation.migrate()
        if quarantined:
            begin_quarantine()
        facts = (
            preparation.seed_demo(demo_sandbox_url, os.environ["KOPPEL_PUBLIC_URL"])
            if demo_sandbox_url
            else {}
        )
        facts["installation_state"] = preparation.installation_state()
        facts["quarantine"] = preparation.quarantine_sentence()
    sys.stdout.write(json.dumps(facts))
