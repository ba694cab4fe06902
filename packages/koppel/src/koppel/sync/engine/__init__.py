"""Executes a run and records how it ended; normalises stored rows again.

Guarantees:

- Records, deletions, changes and the checkpoint of a page are written in one transaction, which
  first verifies that this worker still holds the run.
- An absent record counts as deleted only at the end of a full read.
- The run's row states afterwards how it ended, or when it continues.

Start reading at `run_executor`.
"""

from koppel.sync.engine.normalisation_states import list_waiting_resources, normalisation_progress
from koppel.sync.engine.run_executor import execute_run
from koppel.sync.engine.stored_rows import outdated_rows, renormalise, renormalise_turn

__all__ = [
    "execute_run",
    "list_waiting_resources",
    "normalisation_progress",
    "outdated_rows",
    "renormalise",
    "renormalise_turn",
]
