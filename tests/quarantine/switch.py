"""The operator at the shell, who puts the installation into quarantine and ends it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typer.testing import CliRunner

from koppel.cli.quarantine import app


def koppel_quarantine(*words: str) -> dict[str, Any]:
    """What the command printed."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


@contextmanager
def in_quarantine() -> Iterator[None]:
    koppel_quarantine("on")
    try:
        yield
    finally:
        koppel_quarantine("off")
