"""Runs Koppel from files outside this checkout, and lists what its pages load."""

import http.client
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

from tests.fixtures.environment import PACKAGES, REPOSITORY
from tests.fixtures.stack import PATIENCE_SECONDS, wait_until

PARTS = ("src", "pyproject.toml", "build_hook.py", "README.md", "LICENSE")
BUILT = shutil.ignore_patterns("*.mo", "staticfiles*", "__pycache__")
HASHED = re.compile(r"\.[0-9a-f]{12}\.")


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    caching: str
    text: str


@dataclass(frozen=True)
class Site:
    """A Koppel that runs from a tree of its own."""

    port: int
    log: Path

    def get(self, path: str, language: str = "en") -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", path, headers={"Accept-Language": language})
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            return Answer(status=answer.status, caching=answer.headers.get("Cache-Control", ""), text=text)
        finally:
            connection.close()

    def static_addresses(self) -> list[str]:
        """Of all that the sign-in page loads."""
        page = self.get("/accounts/login/")
        assert page.status == HTTPStatus.OK, self.log.read_text()
        return re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)

    def answers(self) -> bool:
        try:
            return self.get("/healthz").status == HTTPStatus.OK
        except OSError:
            return False


def copy_package(name: str, folder: Path) -> Path:
    """Copy the sources of a package, without what is built of them, and `docs/`, which its wheel brings.

    The copy is at `packages/<name>` of `folder`, as in the repository. Returns its path.
    """
    target = folder / "packages" / name
    target.mkdir(parents=True)
    shutil.copytree(REPOSITORY / "docs", folder / "docs")
    for file in (PACKAGES / name).iterdir():
        if file.name in PARTS:
            copy = partial(shutil.copytree, ignore=BUILT) if file.is_dir() else shutil.copy
            copy(file, target / file.name)
    return target


def python_environment(folder: Path, **settings: str) -> dict[str, str]:
    """Python keeps its own compiled files in `folder`."""
    return {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "pycache"), **settings}


@contextmanager
def run_site(python: Path, *arguments: str, port: int, folder: Path, **settings: str) -> Iterator[Site]:
    """`koppel …` by this interpreter, in `folder`, until the test is done with it."""
    log = folder / "log"
    words = [python, "-m", "koppel.cli", *arguments, "--port", str(port)]
    environment = python_environment(folder, **settings)
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=environment, cwd=folder, stdout=output, stderr=output)
    site = Site(port, log)
    try:
        wait_until(lambda: site.answers() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield site
    finally:
        process.terminate()
        process.wait()


def file_states(folder: Path) -> dict[Path, tuple[int, int]]:
    """Time of change and size of each file."""
    return {one: (one.stat().st_mtime_ns, one.stat().st_size) for one in folder.rglob("*")}
