"""Where the bytes of a file come from: a path, bytes in memory, or a member of a ZIP file."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ledger_formats.errors import LedgerFileRefused, RefusalCode

HEAD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A file that can be read from its start, again and again. `name` is for sentences about the file."""

    name: str
    path: Path | None = None
    content: bytes = b""

    def open(self) -> BinaryIO:
        """Open the file. Raises `OSError`."""
        return io.BytesIO(self.content) if self.path is None else self.path.open("rb")

    @property
    def size(self) -> int:
        return len(self.content) if self.path is None else self.path.stat().st_size

    def head(self) -> bytes:
        """Return the first megabyte."""
        with self.open() as file:
            return file.read(HEAD_BYTES)

    def read(self, bytes_max: int) -> bytes:
        """Return all of the file. Raises `LedgerFileRefused` beyond `bytes_max`."""
        self.check_size(bytes_max)
        with self.open() as file:
            return file.read()

    def check_size(self, bytes_max: int) -> None:
        if self.size > bytes_max:
            raise LedgerFileRefused(
                RefusalCode.TOO_LARGE, f"{self.name} is larger than {bytes_max // 1024 // 1024} MB."
            )


def source_of(file: str | Path | bytes | Source, name: str = "") -> Source:
    """Return the source of a path, or of bytes that are called `name`."""
    if isinstance(file, Source):
        return file
    if isinstance(file, bytes):
        return Source(name or "The file", content=file)
    path = Path(file)
    return Source(name or path.name, path=path)
