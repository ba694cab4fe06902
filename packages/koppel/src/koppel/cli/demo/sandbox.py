"""The sandbox as a program: a distribution of its own, never imported."""

import sys
from importlib.util import find_spec

from koppel.kit.cli.errors import CommandError

SANDBOX_MODULE = "koppel_sandbox"


def require_sandbox() -> None:
    """Require the sandbox. Raises `CommandError` when it is not installed beside this Koppel."""
    if find_spec(SANDBOX_MODULE) is None:
        raise CommandError("The sandbox is not installed here; `pip install 'koppel[demo]'` brings it.")


def sandbox_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", SANDBOX_MODULE, *arguments]
