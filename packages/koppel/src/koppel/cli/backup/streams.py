"""Bytes on their way from and to files: measured, reported, and copied to a second reader."""

import hashlib
import os
import sys
import time
from pathlib import Path
from typing import IO

from koppel.cli.backup.age_encryption import ByteReader, ByteWriter
from koppel.cli.backup.manifest import BackupFile
from koppel.kit.cli.errors import CommandError

CHUNK = 1 << 20
TERMINAL_SECONDS, LOG_SECONDS = 0.5, 60


class Progress:
    """Reports on standard error how far a step is: continually on a terminal, else a line a minute."""

    def __init__(self, step: str, bytes_in_all: int | None = None) -> None:
        self._step, self._in_all, self._bytes = step, bytes_in_all, 0
        self._on_terminal = sys.stderr.isatty()
        self._pause = TERMINAL_SECONDS if self._on_terminal else LOG_SECONDS
        self._next = time.monotonic() + self._pause

    def add(self, count: int) -> None:
        self._bytes += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._pause
            self._write("\r" if self._on_terminal else "\n")

    def finish(self) -> None:
        self._write("\n")

    def _write(self, end: str) -> None:
        part = f" of {self._in_all / 1e6:,.1f}" if self._in_all else ""
        sys.stderr.write(f"{self._step}: {self._bytes / 1e6:,.1f}{part} MB{end}")
        sys.stderr.flush()


class MeasuringFile:
    """A new file, private to its owner; its size and checksum are computed while it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest, self._bytes = hashlib.sha256(), 0
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", CHUNK)

    def write(self, chunk: bytes, /) -> int:
        self._digest.update(chunk)
        self._bytes += len(chunk)
        return self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> BackupFile:
        """Write all of it to the disk and return what was written."""
        self._file.flush()
        os.fsync(self._file.fileno())
        if hasattr(os, "posix_fadvise"):  # it is read back from the disk, not from memory
            os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self._file.close()
        return BackupFile(name=self._path.name, bytes=self._bytes, sha256=self._digest.hexdigest())


class CopyingReader:
    """Reads from `source`, and writes everything that was read to `copy` as well."""

    def __init__(self, source: ByteReader, copy: ByteWriter, progress: Progress) -> None:
        self._source, self._copy, self._progress = source, copy, progress

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(CHUNK if size < 0 else size)
        if chunk:
            self._copy.write(chunk)
            self._progress.add(len(chunk))
        return chunk


class ReportingReader:
    """Reads from a file and reports how far it is."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._file.read(size)
        self._progress.add(len(chunk))
        return chunk


def verify_file(folder: Path, expected: BackupFile) -> None:
    """Read a file of a backup and compare it with the manifest. Raises `CommandError`."""
    progress, digest = Progress(f"Verifying {expected.name}", expected.bytes), hashlib.sha256()
    try:
        with (folder / expected.name).open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                progress.add(len(chunk))
    except OSError as error:
        raise CommandError(f"{folder / expected.name} cannot be read ({error.strerror}).") from None
    progress.finish()
    if digest.hexdigest() != expected.sha256:
        raise CommandError(f"{folder / expected.name} is damaged: its checksum is another one.")
