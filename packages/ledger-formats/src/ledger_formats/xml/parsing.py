"""Elements of an XML file as a stream: recoded, hardened, and released when they have passed.

lxml's `iterparse` with a filter of names is three times as fast as one that stops at every element.
Entities, document types and the network are off; libxml2's limits on depth and texts are on.
"""

import codecs
from collections.abc import Iterator
from typing import Any, BinaryIO

from lxml import etree

from ledger_formats.detection import Detection
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.limits import Limits
from ledger_formats.sources import Source
from ledger_formats.text_scan import CONTROL_CHARACTERS

Element = Any
"""lxml has no types."""


class LocalNames(dict[str, str]):
    """The name of an element without its namespace, by its name with it."""

    def __missing__(self, tag: str) -> str:
        name = tag.rpartition("}")[2] if isinstance(tag, str) else ""
        self[tag] = name
        return name


LOCAL = LocalNames()


class _Utf8Stream:
    """The bytes of a file as UTF-8, whatever they were.

    Raises `LedgerFileRefused` where more than `Limits.record_bytes_max` pass without a record: the parser
    would hold them all.
    """

    def __init__(self, source: Source, detection: Detection, file: BinaryIO, limits: Limits) -> None:
        self.file, self.name, self.limits = file, source.name, limits
        self.decoder = None
        if detection.encoding not in ("utf-8", "ascii"):
            self.decoder = codecs.getincrementaldecoder(detection.encoding)(errors="replace")
        self.has_controls = bool(detection.control_characters)
        self.bytes_since_record = 0
        self.at_start = True

    def read(self, size: int) -> bytes:
        self.bytes_since_record += size
        if self.bytes_since_record > self.limits.record_bytes_max:
            most = self.limits.record_bytes_max // 1024 // 1024
            raise LedgerFileRefused(
                RefusalCode.TOO_LARGE, f"{self.name} has {most} MB in a row that are no record of a ledger."
            )
        chunk = self.file.read(size)
        if self.decoder is not None:
            chunk = self._recode(chunk, size)
        if self.has_controls:
            chunk = chunk.translate(None, CONTROL_CHARACTERS) or (self.read(size) if chunk else b"")
        return chunk

    def _recode(self, chunk: bytes, size: int) -> bytes:
        assert self.decoder is not None  # noqa: S101
        text = self.decoder.decode(chunk, not chunk)
        if self.at_start:
            text, self.at_start = text.removeprefix("\ufeff"), False
        return text.encode("utf-8", errors="replace") or (self.read(size) if chunk else b"")


def iterate(
    source: Source,
    detection: Detection,
    limits: Limits,
    names: tuple[str, ...],
    events: tuple[str, ...] = ("end",),
) -> Iterator[tuple[str, str, Element]]:
    """Yield (event, local name, element) for elements of these names. Raises `LedgerFileRefused`.

    The caller calls `release` on an element that it is done with.
    """
    with source.open() as file:
        stream = _Utf8Stream(source, detection, file, limits)
        context = etree.iterparse(
            stream,
            events=events,
            tag=[f"{{*}}{name}" for name in names],
            encoding="utf-8",
            remove_comments=True,
            remove_pis=True,
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            huge_tree=False,
        )
        local = LOCAL
        try:
            for event, element in context:
                stream.bytes_since_record = 0
                yield event, local[element.tag], element
        except etree.XMLSyntaxError as error:
            line = error.position[0] or 0
            raise LedgerFileRefused(
                RefusalCode.NOT_WELL_FORMED,
                f"{source.name} is no well-formed XML, or is cut off, at line {line}: {error.msg}.",
            ) from None


def release(element: Element) -> None:
    """Forget an element's content, and what stands before it."""
    element.clear(keep_tail=False)
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]


def fields_of(element: Element) -> dict[str, str]:
    """Return the texts of an element's children by their names; of several of one name, the first."""
    local = LOCAL
    fields: dict[str, str] = {}
    for child in element:
        if text := child.text:
            fields.setdefault(local[child.tag], text.strip())
    return fields


def children(element: Element, name: str) -> Iterator[Element]:
    local = LOCAL
    return (child for child in element if local[child.tag] == name)


def child(element: Element, name: str) -> Element | None:
    return next(children(element, name), None)
