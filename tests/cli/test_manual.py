"""The commands of docs/operations.md work as they stand there, in their order, on one machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from koppel.cli.demo.http_browser import Browser
from koppel.kit.database.embedded_postgres import choose_free_port, find_binaries
from tests.fixtures.manual import Block, blocks
from tests.fixtures.stack import wait_until

pytestmark = [pytest.mark.drill, pytest.mark.timeout(1800)]

PASSWORD = "a-long-enough-passphrase-7"
START = "koppel up"
COPY = "koppel adopt --old-is-gone"
"""From here on the page speaks of the restored copy."""


@dataclass
class Shell:
    """Somebody who types the blocks in a folder that had nothing in it."""

    folder: Path
    port: int = field(default_factory=choose_free_port)
    data: str = "data"
    printed: str = ""
    reader_url: str = ""
    _service: "subprocess.Popen[bytes] | None" = None

    def type(self, block: Block) -> None:
        """Run a block. Fails with its line and what it printed."""
        if START in block.text:
            self.start(self._filled_in(block.text))
            return
        if block.language == "sql":
            self._run(block, ["koppel", "psql", "-v", "ON_ERROR_STOP=1", "-c", block.text])
            return
        self._run(block, ["bash", "-eu", "-o", "pipefail", "-c", self._filled_in(block.text)])

    def read_books(self, block: Block) -> None:
        """Run a statement as the SQL reader that was made before."""
        psql = find_binaries().program("psql")
        self._run(block, [psql, self.reader_url, "-v", "ON_ERROR_STOP=1", "-c", block.text])

    def start(self, command: str) -> None:
        """Start Koppel in the background, and return when it is ready."""
        with (self.folder / "log").open("ab") as log:
            self._service = subprocess.Popen(
                ["bash", "-c", f"exec {command.partition('#')[0]}"],
                cwd=self.folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_ready)

    def stop(self) -> None:
        if self._service is not None:
            self._service.send_signal(signal.SIGTERM)
            self._service.wait(60)
            self._service = None

    def _is_ready(self) -> bool:
        assert self._service is not None
        assert self._service.poll() is None, (self.folder / "log").read_text()
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz").status == 200)
        except OSError:
            return False

    def _filled_in(self, text: str) -> str:
        """Put in what the page leaves open, and the port, which other tests would use too."""
        text = re.sub(r"koppel (up|check)\b", rf"koppel \1 --port {self.port}", text)
        backups = sorted((self.folder / "data" / "backups").glob("koppel-*"))
        return text.replace("BACKUP", str(backups[0])) if backups else text

    def _run(self, block: Block, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self._environment(),
            input="y\n",
            capture_output=True,
            text=True,
            check=False,
        )
        self.printed = done.stdout
        assert done.returncode == 0, f"line {block.line}: {block.text}{done.stdout}{done.stderr}"

    def _environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {"PATH": path, "HOME": str(self.folder), "KOPPEL_DATA_DIR": str(self.folder / self.data)}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    somebody = Shell(tmp_path)
    try:
        yield somebody
    finally:
        somebody.stop()


def test_the_commands_for_one_machine_work_in_their_order(shell: Shell) -> None:
    """From an empty folder to a restored copy that has taken the place of the original."""
    ran = []
    for block in blocks():
        if block.runner == "reader":
            shell.read_books(block)
            continue
        if block.runner:
            continue
        _prepare(shell, block)
        shell.type(block)
        _continue(shell, block)
        ran.append(block.text.split()[1])
    assert len(ran) >= 14
    activity = _printed(shell, "koppel activity list --as anna@noord.example --json")
    assert '"quarantine.restored"' in activity
    assert '"quarantine.adopted"' in activity


def _prepare(shell: Shell, block: Block) -> None:
    """Do what the page says in words before the block."""
    if "somewhere-safe" in block.text:
        (shell.folder / "somewhere-safe").mkdir()
        shutil.copy(shell.folder / "data" / "secrets.json", shell.folder / "somewhere-safe")
    if COPY in block.text:
        shell.stop()
        shell.data = "data-new"


def _continue(shell: Shell, block: Block) -> None:
    """Do what the page says in words after the block."""
    if "koppel organisations create" in block.text:
        link = re.search(r"https?://\S+", shell.printed)
        assert link, shell.printed
        browser = Browser()
        page = browser.get(link[0])
        browser.submit(page, page.form("password"), {"name": "Anna", "password": PASSWORD})
    if "koppel sql-readers create" in block.text:
        url = re.search(r"postgresql://\S+", shell.printed)
        assert url, shell.printed
        shell.reader_url = url[0]


def _printed(shell: Shell, command: str) -> str:
    shell.type(Block(0, "sh", "", command))
    return shell.printed
