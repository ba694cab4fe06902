"""ZIP files of ledger files: each member by its own, and nothing written where an archive wants it."""

import itertools
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ledger_formats.detection import is_archive
from ledger_formats.errors import LedgerFileRefused, RefusalCode
from ledger_formats.ledger_file import LedgerFile
from ledger_formats.limits import DEFAULT, MEGABYTE, Limits
from ledger_formats.opening import open_ledger
from ledger_formats.sources import Source, source_of
from ledger_formats.zip_directory import UNREADABLE, check_directory

LOCAL_HEADER_BYTES = 30
SYMBOLIC_LINK = 0o120000
ENCRYPTED = 0x1
CHUNK_BYTES = 1024 * 1024
NEVER_LEDGERS = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive, or the file itself when it is none: its ledger, or why it was refused."""

    name: str
    ledger: LedgerFile | None = None
    refusal: LedgerFileRefused | None = None


@dataclass(slots=True)
class _Unpacked:
    """What an archive and the archives in it hold, so far."""

    files: int = 0
    size: int = 0


def open_all(file: str | Path | bytes | Source, name: str = "", limits: Limits = DEFAULT) -> Iterator[Member]:
    """Yield what a ZIP file holds, ZIP files in it too; a file that is none yields itself.

    A ledger is closed when the next one is asked for. Raises `LedgerFileRefused` for an archive that is not
    safe or cannot be read, before any of it is opened, and `OSError`.
    """
    source = source_of(file, name)
    if not is_archive(source, limits):
        yield _opened(source, limits)
        return
    yield from _members(source, limits, _Unpacked(), 1)


def open_only(file: str | Path | bytes | Source, name: str = "", limits: Limits = DEFAULT) -> LedgerFile:
    """Open a ledger file, or the only one in a ZIP file. Raises `LedgerFileRefused`, and `OSError`."""
    source = source_of(file, name)
    if not is_archive(source, limits):
        return open_ledger(source, limits=limits)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ledger-")))
        ledger: LedgerFile | None = None
        refusal: LedgerFileRefused | None = None
        for member in _extracted(source, limits, _Unpacked(), folder):
            try:
                opened = open_ledger(member, limits=limits)
            except LedgerFileRefused as error:
                refusal = refusal or error
                continue
            if ledger is not None:
                raise LedgerFileRefused(
                    RefusalCode.SEVERAL_LEDGERS,
                    f"{source.name} holds several ledger files: open them one by one.",
                )
            ledger = opened
        if ledger is None:
            raise refusal or LedgerFileRefused(RefusalCode.EMPTY, f"{source.name} holds no files.")
        ledger.resources = stack.pop_all()
        return ledger


def _opened(source: Source, limits: Limits) -> Member:
    try:
        return Member(source.name, open_ledger(source, limits=limits))
    except LedgerFileRefused as refusal:
        return Member(source.name, refusal=refusal)


def _members(source: Source, limits: Limits, unpacked: _Unpacked, depth: int) -> Iterator[Member]:
    with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
        for extracted in _extracted(source, limits, unpacked, Path(folder)):
            if not is_archive(extracted, limits):
                member = _opened(extracted, limits)
                yield member
                if member.ledger is not None:
                    member.ledger.close()
            elif depth < limits.archive_depth_max:
                yield from _nested(extracted, limits, unpacked, depth)
            else:
                sentence = f"{extracted.name} is a ZIP file in a ZIP file in a ZIP file, which is not read."
                yield Member(extracted.name, refusal=LedgerFileRefused(RefusalCode.ARCHIVE_UNSAFE, sentence))
            if extracted.path is not None:
                extracted.path.unlink()


def _nested(source: Source, limits: Limits, unpacked: _Unpacked, depth: int) -> Iterator[Member]:
    try:
        yield from _members(source, limits, unpacked, depth + 1)
    except LedgerFileRefused as refusal:
        yield Member(source.name, refusal=refusal)


def _extracted(source: Source, limits: Limits, unpacked: _Unpacked, folder: Path) -> Iterator[Source]:
    """Yield each file of an archive, under a number in `folder`; its own name is only for sentences."""
    with source.open() as file:
        check_directory(source, file, limits)
        try:
            with zipfile.ZipFile(file) as archive:
                members = [info for info in archive.infolist() if not _is_ignored(info)]
                _check_members(source.name, members, limits, unpacked)
                for number, info in enumerate(members):
                    path = folder / str(number)
                    with archive.open(info) as member, path.open("wb") as copy:
                        shutil.copyfileobj(member, copy, CHUNK_BYTES)
                    yield Source(f"{source.name}/{info.filename}", path=path)
        except UNREADABLE as error:
            raise LedgerFileRefused(
                RefusalCode.ARCHIVE_UNREADABLE, f"{source.name} is no readable ZIP file: {error}."
            ) from None


def _is_ignored(info: zipfile.ZipInfo) -> bool:
    last = info.filename.rpartition("/")[2]
    return info.is_dir() or info.filename.startswith(NEVER_LEDGERS) or last in NEVER_LEDGERS


def _check_members(name: str, members: list[zipfile.ZipInfo], limits: Limits, unpacked: _Unpacked) -> None:
    """Refuse an archive that is not safe, as a whole; count it in `unpacked` otherwise."""
    before = "With the files before it " if unpacked.files else ""
    size = unpacked.size + sum(info.file_size for info in members)
    if size > limits.archive_bytes_max:
        most = f"{limits.archive_bytes_max // MEGABYTE} MB, unpacked"
        raise LedgerFileRefused(RefusalCode.TOO_LARGE, f"{before}{name} holds more than {most}.")
    if unpacked.files + len(members) > limits.archive_files_max:
        most = f"{limits.archive_files_max:,} files"
        raise LedgerFileRefused(RefusalCode.TOO_LARGE, f"{before}{name} holds more than {most}.")
    for info in members:
        if reason := _danger(info, limits):
            raise LedgerFileRefused(
                RefusalCode.ARCHIVE_UNSAFE, f"{name} is refused: {info.filename[:100]!r} {reason}."
            )
    ordered = sorted(members, key=lambda info: info.header_offset)
    for info, following in itertools.pairwise(ordered):
        if following.header_offset < info.header_offset + LOCAL_HEADER_BYTES + info.compress_size:
            raise LedgerFileRefused(
                RefusalCode.ARCHIVE_UNSAFE, f"{name} is refused: its files overlap, as those of ZIP bombs do."
            )
    unpacked.files, unpacked.size = unpacked.files + len(members), size


def _danger(info: zipfile.ZipInfo, limits: Limits) -> str:
    """Return why a member is not safe; '' for one that is."""
    path = info.filename.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or path[1:2] == ":" or "\0" in info.orig_filename:
        return "is a path that leaves the archive"
    if (info.external_attr >> 16) & 0o170000 == SYMBOLIC_LINK:
        return "is a symbolic link"
    if info.flag_bits & ENCRYPTED:
        return "is encrypted; pack it without a password"
    if info.file_size > limits.file_bytes_max:
        return f"is larger than {limits.file_bytes_max // MEGABYTE} MB, unpacked"
    packed = max(info.compress_size, 1)
    if info.file_size > 16 * MEGABYTE and info.file_size > packed * limits.compression_ratio_max:
        return f"unpacks to {info.file_size // packed:,} times its size, as ZIP bombs do"
    return ""
