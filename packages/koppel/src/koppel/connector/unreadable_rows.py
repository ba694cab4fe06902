"""Rows of a JSON document that are no JSON: a lone surrogate, NaN, a control character, a thousand brackets.

A decoder refuses the whole document because of one of them. `replace_unreadable_rows` puts a placeholder in
their place, which no connector can take for a record, so that it is rejected like any other odd row; the
others are read. `original_row` returns what the vendor sent.
"""

import base64
import re
from collections.abc import Iterator

import msgspec
from django.utils.translation import gettext_noop

PLACEHOLDER = b"koppel unreadable row"
REASON = gettext_noop("It is not valid JSON.")
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)
_STORED = re.compile(rb'"' + PLACEHOLDER + rb'":\s*"([A-Za-z0-9+/=]*)"')


def replace_unreadable_rows(document: bytes, depth: int = 1) -> bytes | None:
    """Return the document with a placeholder for each element that is no JSON, of its arrays `depth` deep.

    None when the document is cut off, or no element explains why it cannot be read.
    """
    replaced: list[bytes] = []
    copied_to, is_complete = 0, False
    for start, end in _elements(document, depth):
        if end < 0:
            is_complete = True
        elif not _is_json(row := document[start:end]):
            stored = b'{"%s":"%s"}' % (PLACEHOLDER, base64.b64encode(row.strip()))
            replaced += [document[copied_to:start], stored]
            copied_to = end
    return b"".join([*replaced, document[copied_to:]]) if replaced and is_complete else None


def original_row(payload: bytes) -> bytes | None:
    """Return the row that a placeholder stands for; None for any other row."""
    stored = _STORED.search(payload)
    try:
        return base64.b64decode(stored[1], validate=True) if stored else None
    except ValueError:
        return None


def _elements(document: bytes, depth: int) -> Iterator[tuple[int, int]]:
    """Yield where each element of these arrays starts and ends; (0, -1) at the end of a complete document."""
    opened = bytearray()
    start = 0
    for token in _TOKEN.finditer(document):
        sign = token[0]
        is_in_rows = opened.endswith(b"[") and opened.count(b"[") == depth
        if sign in (b",", b"]") and is_in_rows and document[start : token.start()].strip():
            yield start, token.start()
        if sign == b"," and is_in_rows:
            start = token.end()
        elif sign in (b"[", b"{"):
            opened += sign
            if sign == b"[" and opened.count(b"[") == depth:
                start = token.end()
        elif sign in (b"]", b"}"):
            if not opened or not opened.endswith(b"[" if sign == b"]" else b"{"):
                return
            opened.pop()
            if not opened and not document[token.end() :].strip():
                yield 0, -1


def _is_json(row: bytes) -> bool:
    try:
        msgspec.json.decode(row, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
