"""Loads a package's SQL from files: named statements, each below a line `-- name: list_runs`.

A file may begin with comments. Other comment lines are for readers and are not sent. A statement may end with
a semicolon. Callers fill `{table}` and the like with `str.format`; `%(name)s` is a parameter.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

FOLDER = "sql"
_NAME_LINE = re.compile(r"^--[ \t]*name:(.*)$", re.MULTILINE)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COMMENT_LINE = re.compile(r"^[ \t]*--.*\n?", re.MULTILINE)


@cache
def load_statements(package: str) -> Mapping[str, str]:
    """Return the statements in `sql/*.sql` of a package, by name.

    Raises `ValueError` for a malformed file or a duplicate name, and `FileNotFoundError` when the folder does
    not exist.
    """
    statements: dict[str, str] = {}
    for file in sorted((files(package) / FOLDER).iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql"):
            continue
        for name, statement in parse_statements(file.read_text(encoding="utf-8"), file.name):
            if name in statements:
                raise ValueError(f"{package}, {file.name}: the name {name!r} stands twice.")
            statements[name] = statement
    return MappingProxyType(statements)


def parse_statements(text: str, source: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the SQL of each statement.

    `source` is named in errors. Raises `ValueError`.
    """
    header, *parts = _NAME_LINE.split(text)
    if _without_comments(header):
        raise ValueError(f"{source}: SQL stands before the first name.")
    for name, statement in zip(
        (name.strip() for name in parts[::2]), map(_without_comments, parts[1::2]), strict=True
    ):
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{source}: {name!r} is no name of a statement.")
        if not statement:
            raise ValueError(f"{source}: the statement {name!r} is empty.")
        yield name, statement


def _without_comments(text: str) -> str:
    return _COMMENT_LINE.sub("", text).strip().removesuffix(";").rstrip()
