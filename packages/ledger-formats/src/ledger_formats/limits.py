"""What a file may be at most. Beyond a limit it is refused with a sentence: nothing real is that large, and
an attack is.
"""

from dataclasses import dataclass

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are in bytes, after decompression."""

    file_bytes_max: int = 4096 * MEGABYTE
    text_bytes_max: int = 512 * MEGABYTE
    """Of a SIE file of type 1 to 4, which is held in memory."""
    record_bytes_max: int = 8 * MEGABYTE
    """Between two records of an XML file: what is not understood is held in memory until then."""
    accounts_max: int = 200_000
    codes_max: int = 100_000
    """VAT codes, journals, periods and dimensions, each."""
    entries_max: int = 5_000_000
    """The keys of all are held in memory: 90 MB for a million."""
    entry_lines_max: int = 250_000
    archive_files_max: int = 5_000
    archive_bytes_max: int = 8192 * MEGABYTE
    """Of an archive with the archives in it, as is `archive_files_max`."""
    archive_depth_max: int = 2
    """A ZIP file of ZIP files is read, one of those of those is not."""
    compression_ratio_max: int = 250
    """Text compresses to a fiftieth at best; more is checked from 16 MB on."""
    findings_max: int = 10_000
    """How many findings a report keeps; all are counted."""


DEFAULT = Limits()
