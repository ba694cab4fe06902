"""Changes of a company's batches while a client is reading: edit, delete, insert, touch.

They are made now or later.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from koppel_sandbox.visma_net import shapes
from koppel_sandbox.visma_net.encoded_books import Batch, EncodedBooks

STAMP = re.compile(rb'"lastModifiedDateTime":"[^"]*"')
NUMBER = re.compile(rb'"batchNumber":"[^"]*"')
PERIOD = re.compile(rb'("(?:postPeriod|financialPeriod)":)"[^"]*"')
LINE_NUMBER = re.compile(rb'^\{"lineNumber":(\d+)')


def apply(encoded: EncodedBooks, change: Mapping[str, Any], stamp: str) -> dict[str, int]:
    """Apply changes and return how many of each were made.

    `delete`: [number], `edit`: {number: description}, `drop_lines`: {number: [line number]}, `move`: {number:
    period}, `insert`: {new number: number to copy} (at the front), `touch_all`: true. A changed batch gets a
    new stamp.
    """
    deleted_numbers = set(change.get("delete", ()))
    edits, moves = change.get("edit", {}), change.get("move", {})
    dropped_lines = change.get("drop_lines", {})
    before = len(encoded.batches)
    encoded.batches = [batch for batch in encoded.batches if batch.key[1] not in deleted_numbers]
    counts = {"deleted": before - len(encoded.batches), "edited": 0, "inserted": 0}
    for batch in encoded.batches:
        number = batch.key[1]
        if number in edits:
            _describe(batch, edits[number])
        if number in dropped_lines:
            batch.lines = [line for line in batch.lines if _line_number(line) not in dropped_lines[number]]
        if number in moves:
            _move(batch, moves[number])
        if number in edits or number in dropped_lines or number in moves or change.get("touch_all"):
            _stamp(batch, stamp)
            counts["edited"] += 1
    for number, original_number in change.get("insert", {}).items():
        encoded.batches.insert(0, _copy(encoded, original_number, number, stamp))
        counts["inserted"] += 1
    encoded.forget_pages()
    return counts


def touch_balances(encoded: EncodedBooks, periods: Collection[str], stamp: str) -> int:
    """Give the balances of these periods a new stamp, as a change to and fro does. Returns their number."""
    count = sum(row[0] in periods for row in encoded.balances)
    encoded.balances = [
        (period, stamp, STAMP.sub(b'"lastModifiedDateTime":' + shapes.encode(stamp), row))
        if period in periods
        else (period, before, row)
        for period, before, row in encoded.balances
    ]
    return count


def batch_summary(batch: Batch) -> dict[str, Any]:
    """Return the identifying fields of a batch, and its line numbers."""
    module, number = batch.key
    return {
        "module": module,
        "number": number,
        "period": batch.period,
        "lines": [_line_number(line) for line in batch.lines],
    }


def run_due(encoded: EncodedBooks, path: str, stamp: str) -> None:
    """Make the changes that are scheduled for the response to a call of `path`."""
    for scheduled in list(encoded.scheduled_changes):
        if scheduled.path in path:
            scheduled.calls -= 1
            if scheduled.calls <= 0:
                encoded.scheduled_changes.remove(scheduled)
                apply(encoded, scheduled.change, stamp)


def _describe(batch: Batch, description: str) -> None:
    head = json.loads(batch.head + b"]}", parse_float=str)
    old = b'"description":' + shapes.encode(head["description"])
    batch.head = batch.head.replace(old, b'"description":' + shapes.encode(description))


def _move(batch: Batch, period: str) -> None:
    """Move the batch to another period."""
    batch.head = PERIOD.sub(rb"\1" + shapes.encode(period), batch.head)
    batch.period = period


def _stamp(batch: Batch, stamp: str) -> None:
    batch.head = STAMP.sub(b'"lastModifiedDateTime":' + shapes.encode(stamp), batch.head)
    batch.modified = stamp


def _copy(encoded: EncodedBooks, original_number: str, number: str, stamp: str) -> Batch:
    original = next(batch for batch in encoded.batches if batch.key[1] == original_number)
    head = NUMBER.sub(b'"batchNumber":' + shapes.encode(number), original.head)
    created = Batch(
        key=(original.key[0], number),
        period=original.period,
        modified=stamp,
        head=head,
        lines=list(original.lines),
    )
    _stamp(created, stamp)
    return created


def _line_number(line: bytes) -> int:
    match = LINE_NUMBER.match(line)
    return int(match[1]) if match else 0
