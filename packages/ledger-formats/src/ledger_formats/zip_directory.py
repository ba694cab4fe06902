"""The directory of a ZIP file: bounded before it is read, and what kind of document it shows."""

import struct
import zipfile
import zlib
from typing import BinaryIO

from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.limits import Limits
from ledger_formats.sources import Source

ZIP_START = b"PK\x03\x04"
ZIP_EMPTY = b"PK\x05\x06"
END_OF_DIRECTORY = ZIP_EMPTY
END_BYTES = 22
COMMENT_BYTES_MAX = 65535
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, struct.error)
DOCUMENT_PARTS = {
    "xl/": "an Excel workbook",
    "word/": "a Word document",
    "ppt/": "a PowerPoint presentation",
    "visio/": "a Visio drawing",
    "Index/Document.iwa": "a document of Apple's Numbers or Pages",
    "META-INF/MANIFEST.MF": "a program (JAR)",
    "META-INF/container.xml": "an EPUB book",
    "AndroidManifest.xml": "a program (APK)",
}
"""Members, or folders of members, that only such a file has at its top."""
OPEN_DOCUMENTS = {"META-INF/manifest.xml", "content.xml"}


def is_zip(source: Source) -> bool:
    with source.open() as file:
        return file.read(4) in (ZIP_START, ZIP_EMPTY)


def document_kind(source: Source, limits: Limits) -> str:
    """Return which workbook, document or program a ZIP file is; '' for an archive, readable or not."""
    try:
        with source.open() as file:
            check_directory(source, file, limits)
            with zipfile.ZipFile(file) as archive:
                names = set(archive.namelist())
    except (LedgerFileRefused, *UNREADABLE):
        return ""
    if names >= OPEN_DOCUMENTS:
        return "an OpenDocument workbook or text"
    is_office = "[Content_Types].xml" in names
    for part, kind in DOCUMENT_PARTS.items():
        if part in names or (is_office and any(name.startswith(part) for name in names)):
            return kind
    return "an Office document or package" if is_office else ""


def check_directory(source: Source, file: BinaryIO, limits: Limits) -> None:
    """Refuse an archive of too many files before its directory is read into memory."""
    file.seek(max(0, source.size - END_BYTES - COMMENT_BYTES_MAX))
    tail = file.read()
    position = tail.rfind(END_OF_DIRECTORY)
    if position < 0 or len(tail) < position + END_BYTES:
        raise LedgerFileRefused(
            RefusalCode.ARCHIVE_UNREADABLE, f"{source.name} is no readable ZIP file: it is cut off."
        )
    count, directory_bytes = struct.unpack_from("<HI", tail, position + 10)
    if count > limits.archive_files_max or directory_bytes > limits.archive_files_max * 1024:
        raise LedgerFileRefused(
            RefusalCode.TOO_LARGE, f"{source.name} holds more than {limits.archive_files_max:,} files."
        )
    file.seek(0)
