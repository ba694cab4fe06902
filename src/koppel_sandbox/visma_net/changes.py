"""What somebody may do to a company's batches while a client is reading: edit, delete, insert, touch all; now or later."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from koppel_sandbox.visma_net import shapes
from koppel_sandbox.visma_net.encoded_books import Batch, Stored

STAMP = re.compile(rb'"lastModifiedDateTime":"[^"]*"')
NUMBER = re.compile(rb'"batchNumber":"[^"]*"')
PERIOD = re.compile(rb'("(?:postPeriod|financialPeriod)":)"[^"]*"')
LINE_NUMBER = re.compile(rb'^\{"lineNumber":(\d+)')


@dataclass
class Later:
    """An act that happens once `calls` more calls have been answered whose path contains `path`."""

    path: str
    calls: int
    asked: Mapping[str, Any]


def apply(stored: Stored, asked: Mapping[str, Any], stamp: str) -> dict[str, int]:
    """`delete`: [number], `edit`: {number: description}, `drop_lines`: {number: [line number]}, `move`: {number: period},
    `insert`: {new number: like which number} (at the front), `touch_all`: true. A batch is stamped when it is changed. How
    many of each were done."""
    gone, edits, lines = set(asked.get("delete", ())), asked.get("edit", {}), asked.get("drop_lines", {})
    moves = asked.get("move", {})
    before = len(stored.batches)
    stored.batches = [one for one in stored.batches if one.key[1] not in gone]
    done = {"deleted": before - len(stored.batches), "edited": 0, "inserted": 0}
    for one in stored.batches:
        number = one.key[1]
        if number in edits:
            _describe(one, edits[number])
        if number in lines:
            one.lines = [line for line in one.lines if _line_number(line) not in lines[number]]
        if number in moves:
            _move(one, moves[number])
        if number in edits or number in lines or number in moves or asked.get("touch_all"):
            _stamp(one, stamp)
            done["edited"] += 1
    for number, like in asked.get("insert", {}).items():
        stored.batches.insert(0, _copy(stored, like, number, stamp))
        done["inserted"] += 1
    stored.forget_pages()
    return done


def facts(one: Batch) -> dict[str, Any]:
    """What a batch is known by, and its line numbers."""
    module, number = one.key
    return {
        "module": module,
        "number": number,
        "period": one.period,
        "lines": [_line_number(line) for line in one.lines],
    }


def happen(stored: Stored, path: str, stamp: str) -> None:
    """A call to `path` was answered: what was planned for this moment happens."""
    for one in list(stored.later):
        if one.path in path:
            one.calls -= 1
            if one.calls <= 0:
                stored.later.remove(one)
                apply(stored, one.asked, stamp)


def _describe(one: Batch, description: str) -> None:
    head = json.loads(one.head + b"]}", parse_float=str)
    old = b'"description":' + shapes.encode(head["description"])
    one.head = one.head.replace(old, b'"description":' + shapes.encode(description))


def _move(one: Batch, period: str) -> None:
    """Posted again in another period."""
    one.head = PERIOD.sub(rb"\1" + shapes.encode(period), one.head)
    one.period = period


def _stamp(one: Batch, stamp: str) -> None:
    one.head = STAMP.sub(b'"lastModifiedDateTime":' + shapes.encode(stamp), one.head)
    one.modified = stamp


def _copy(stored: Stored, like: str, number: str, stamp: str) -> Batch:
    model = next(one for one in stored.batches if one.key[1] == like)
    head = NUMBER.sub(b'"batchNumber":' + shapes.encode(number), model.head)
    made = Batch((model.key[0], number), model.period, stamp, head, list(model.lines))
    _stamp(made, stamp)
    return made


def _line_number(line: bytes) -> int:
    found = LINE_NUMBER.match(line)
    return int(found[1]) if found else 0
