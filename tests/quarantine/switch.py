"""The operator who starts and ends a quarantine from the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from koppel.cli.commands.quarantine import app


def koppel_quarantine(*words: str) -> dict[str, Any]:
    """What the command printed."""
    done = CliRunner().invoke(app, [*words, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


class Programs:
    """`koppel …` for each of the commands, with a log of its own in `folder`; killed at the end of the
    block.
    """

    def __init__(self, folder: Path, *commands: str, environment: dict[str, str] | None = None) -> None:
        self._folder, self._commands, self._environment = (
            folder,
            commands,
            {**os.environ, **(environment or {})},
        )
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Programs":
        for words in self._commands:
            with self._log(words.split()[0]).open("wb") as log:
                command = [sys.executable, "-m", "koppel.cli", *words.split()]
                process = subprocess.Popen(command, env=self._environment, stderr=log, start_new_session=True)
                self._running.append(process)
        return self

    def __exit__(self, *_error: object) -> None:
        for process in self._running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def said(self, program: str) -> str:
        return self._log(program).read_text()

    def _log(self, program: str) -> Path:
        return self._folder / f"{program}.log"
