"""Rows of a JSON document that are no JSON: a lone surrogate, NaN, a control character, a thousand brackets.

A decoder refuses the whole document because of one of them. `replace_unreadable_rows` puts a placeholder in
their place, which no connector can take for a record, so that it is rejected like any other odd row; the
others are read. `original_row` returns what the vendor sent.
"""

import asyncio
import base64
import re
from collections.abc import Iterator
from itertools import islice

import msgspec
from django.utils.translation import gettext_noop

PLACEHOLDER = b"koppel unreadable row"
REASON = gettext_noop("It is not valid JSON.")
TOKENS_MAX = 1_000_000
"""Strings, brackets and commas of a document that is repaired. A page of 1,000 lines has about 100,000."""
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|(?P<unterminated>\\?\Z))|[\[\]{},]', re.DOTALL)
_SIGN = re.compile(rb"[\[\]{},]")
_STORED = re.compile(rb'"' + PLACEHOLDER + rb'":\s*"([A-Za-z0-9+/=]*)"')


def replace_unreadable_rows(document: bytes, depth: int = 1) -> bytes | None:
    """Return the document with a placeholder for each element that is no JSON, of its arrays `depth` deep.

    None when the document is cut off or too large to repair, or no element explains why it cannot be read.
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


async def replace_in_thread(document: bytes, depth: int = 1) -> bytes | None:
    """Return what `replace_unreadable_rows` does; a large document does not hold up the event loop."""
    return await asyncio.to_thread(replace_unreadable_rows, document, depth)


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
    arrays = start = 0
    for token in _tokens(document):
        sign = token[0]
        is_in_rows = arrays == depth and opened.endswith(b"[")
        if sign in (b",", b"]") and is_in_rows and document[start : token.start()].strip():
            yield start, token.start()
        if sign == b"," and is_in_rows:
            start = token.end()
        elif sign in (b"[", b"{"):
            opened += sign
            arrays += sign == b"["
            if sign == b"[" and arrays == depth:
                start = token.end()
        elif sign in (b"]", b"}"):
            if not opened.endswith(b"[" if sign == b"]" else b"{"):
                return
            opened.pop()
            arrays -= sign == b"]"
            if not opened:
                if not document[token.end() :].strip():
                    yield 0, -1
                return


def _tokens(document: bytes) -> Iterator[re.Match[bytes]]:
    """Yield the strings, brackets and commas; nothing more after `TOKENS_MAX`.

    No string ends after the start of one without an end: what follows is searched for brackets alone.
    """
    left = TOKENS_MAX
    for token in islice(_TOKEN.finditer(document), left):
        if token.lastgroup == "unterminated":
            yield from islice(_SIGN.finditer(document, token.start() + 1), left)
            return
        left -= 1
        yield token


def _is_json(row: bytes) -> bool:
    try:
        msgspec.json.decode(row, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
