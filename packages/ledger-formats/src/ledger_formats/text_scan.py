"""One pass over the bytes of an XML file before it is parsed: its encoding, and what no parser accepts."""

import codecs
from dataclasses import dataclass

from ledger_formats.encoding import likeliest, unicode_start, words_of
from ledger_formats.sources import Source

CHUNK_BYTES = 1024 * 1024
WORDS_MAX = 5000
CONTROL_CHARACTERS = bytes(code for code in range(32) if code not in (9, 10, 13))
"""What XML 1.0 forbids. Programs copy it from texts that people pasted."""


@dataclass(frozen=True, slots=True)
class TextScan:
    """What the bytes of a file are: Python's name of the encoding, and how many forbidden characters."""

    encoding: str
    control_characters: int = 0


def scan(source: Source) -> TextScan:
    """Read a file once. It is UTF-8 only if all of it is."""
    with source.open() as file:
        head = file.read(4)
        encoding = unicode_start(head)
        if encoding.startswith("utf-16"):
            return TextScan(encoding)
        file.seek(0)
        decoder, is_utf8, is_ascii = codecs.getincrementaldecoder("utf-8")(), True, True
        words: list[bytes] = []
        controls = 0
        while chunk := file.read(CHUNK_BYTES):
            controls += len(chunk) - len(chunk.translate(None, CONTROL_CHARACTERS))
            is_utf8 = is_utf8 and _is_valid(decoder, chunk)
            if chunk.isascii():
                continue
            is_ascii = False
            if len(words) < WORDS_MAX:
                words += words_of(chunk, WORDS_MAX - len(words))
        is_utf8 = is_utf8 and _is_valid(decoder, b"", final=True)
    if is_ascii:
        return TextScan("ascii", controls)
    return TextScan("utf-8" if is_utf8 else likeliest(words), controls)


def _is_valid(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError:
        return False
    return True
