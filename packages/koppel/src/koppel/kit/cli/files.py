"""Read the files that commands take."""

from pathlib import Path

from koppel.kit.cli.errors import CommandError
from koppel.kit.tabular.reader import ReadLimits, TableError, decode

LIMITS = ReadLimits()


def read_table_file(file: Path, limits: ReadLimits = LIMITS) -> str:
    """Return the text of a table that a command names. Raises `CommandError`."""
    try:
        with file.open("rb") as stream:
            content = stream.read(limits.size + 1)
        return decode(content, limits)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from None
    except TableError as error:
        raise CommandError(f"{file} cannot be read. {error}") from None
