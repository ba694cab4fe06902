"""Recognises files that hold no table of text, whatever their name: workbooks, PDFs, archives, web pages."""

import re
from enum import StrEnum

SAMPLE_BYTES = 4096
CONTROL_CHARACTERS_MAX, CONTROL_SHARE = 4, 0.02
"""A text has hardly any control characters but line ends and tabs."""
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_WEB_PAGE = re.compile(rb"\s*(?:<!doctype html|<html|<table|<head|<meta|<\?xml)", re.IGNORECASE)


class FileType(StrEnum):
    """What a file is that is no text."""

    WORKBOOK = "workbook"
    PDF = "pdf"
    WEB_PAGE = "web_page"
    BINARY = "binary"


_SIGNATURES = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileType.WORKBOOK),
    (b"%PDF-", FileType.PDF),
    (b"\x1f\x8b", FileType.BINARY),
    (b"7z\xbc\xaf\x27\x1c", FileType.BINARY),
    (b"Rar!\x1a", FileType.BINARY),
    (b"\x89PNG", FileType.BINARY),
    (b"\xff\xd8\xff", FileType.BINARY),
    (b"{\\rtf", FileType.BINARY),
)
_WORKBOOK_PARTS = (b"xl/", b"[Content_Types].xml", b"mimetypeapplication/vnd.oasis.opendocument", b"Index/")
"""Names within the first bytes of the archives that Excel, LibreOffice and Numbers write."""


def detect_file_type(content: bytes) -> FileType | None:
    """Return what a file is, from its first bytes; None for text. Nothing is unpacked."""
    sample = content[:SAMPLE_BYTES]
    if sample.startswith(b"PK\x03\x04"):
        is_workbook = any(part in sample for part in _WORKBOOK_PARTS)
        return FileType.WORKBOOK if is_workbook else FileType.BINARY
    for signature, file_type in _SIGNATURES:
        if sample.lstrip(b"\xef\xbb\xbf \r\n").startswith(signature):
            return file_type
    if _WEB_PAGE.match(sample.removeprefix(b"\xef\xbb\xbf")):
        return FileType.WEB_PAGE
    if _is_utf16(sample) or len(_CONTROL.findall(sample)) + sample.count(
        0
    ) <= CONTROL_CHARACTERS_MAX + CONTROL_SHARE * len(sample):
        return None
    return FileType.BINARY


def _is_utf16(sample: bytes) -> bool:
    """Return whether every second byte may be the upper half of a letter."""
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    return sample.startswith((b"\xff\xfe", b"\xfe\xff")) or max(even, odd) * 10 >= len(sample) > 20 * min(
        even, odd
    )
