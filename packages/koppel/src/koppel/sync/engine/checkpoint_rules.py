"""Rules about a page and the checkpoint before it. Nothing is read or written here."""

from dataclasses import replace
from datetime import datetime, timedelta

from koppel.connector.contract import Page, ReadMode
from koppel.kit.clock import now
from koppel.sync.runs.checkpoints import CheckpointState

UNPROVEN_FULL_READ_AGE = timedelta(days=8)
"""The age recorded for a first read that could not be proved complete: it makes the next run compare
again.
"""


def has_nothing_to_write(checkpoint: CheckpointState, page: Page) -> bool:
    """Return whether the page has no records, and proves no deletion."""
    if checkpoint.is_baseline or page.records or page.rejected or page.tombstones:
        return False
    if page.absence_proof is not None:
        return False
    return page.unchanged or (checkpoint.read_mode == ReadMode.MODIFIED_SINCE and page.next_cursor is None)


def may_wait(checkpoint: CheckpointState, page: Page) -> bool:
    """Return whether the page may be held back until the next one.

    At most one page of a resource is pending, unless they are empty: that is all a crash can lose.
    """
    proof = page.absence_proof
    ends_read = page.next_cursor is None
    needs_no_restart = proof is None or (proof.restart_cursor is None and proof.is_consistent)
    return has_nothing_to_write(checkpoint, page) or (ends_read and needs_no_restart)


def checkpoint_after(checkpoint: CheckpointState, page: Page) -> CheckpointState:
    """Return the checkpoint after the page, as far as it is known before writing."""
    return advance_checkpoint(replace(checkpoint, resume_cursor=page.next_cursor or ""), page)


def advance_checkpoint(checkpoint: CheckpointState, page: Page) -> CheckpointState:
    """Return the checkpoint after the page.

    At the end of a read it holds the cursor from which the next read continues.
    """
    if checkpoint.resume_cursor:
        return checkpoint
    new = replace(
        checkpoint,
        incremental_cursor=page.incremental_cursor or checkpoint.incremental_cursor,
        complete_as_of=checkpoint.read_started_at,
    )
    if checkpoint.read_mode != ReadMode.MODIFIED_SINCE:
        new.last_full_at = _full_at(checkpoint)
        new.is_inconsistent = False
    return new


def _full_at(checkpoint: CheckpointState) -> datetime | None:
    if not checkpoint.is_inconsistent:
        return checkpoint.read_started_at
    return checkpoint.last_full_at or (checkpoint.read_started_at or now()) - UNPROVEN_FULL_READ_AGE
