"""Texts and static files are built at installation: a wheel brings them, browsers keep them, and no program writes beside the
code. Where they were not built, or a source has changed since, pages work and no browser keeps an old script."""

import http.client
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.environment import PACKAGES
from tests.fixtures.stack import PATIENCE_SECONDS, wait_until

PARTS = ("src", "pyproject.toml", "build_hook.py", "README.md", "LICENSE")
BUILT = shutil.ignore_patterns("*.mo", "staticfiles*", "__pycache__")
HASHED = re.compile(r"\.[0-9a-f]{12}\.")


@dataclass(frozen=True)
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
            return Answer(answer.status, answer.headers.get("Cache-Control", ""), text)
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


def copied(folder: Path) -> Path:
    """A source tree in which nothing is built."""
    for name in PARTS:
        part = PACKAGES / "koppel" / name
        copy = shutil.copytree if part.is_dir() else shutil.copy
        copy(part, folder / name, **({"ignore": BUILT} if part.is_dir() else {}))
    return folder


def environment(code: Path) -> dict[str, str]:
    """Python takes Koppel from there, and keeps its own compiled files elsewhere."""
    return {**os.environ, "PYTHONPATH": str(code), "PYTHONPYCACHEPREFIX": str(code.parent / "pycache")}


@contextmanager
def running(code: Path, *command: str, port: int) -> Iterator[Site]:
    log = code.parent / "log"
    words = [sys.executable, "-m", "koppel.cli", *command, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(words, env=environment(code), cwd=code.parent, stdout=output, stderr=output)
    site = Site(port, log)
    try:
        wait_until(lambda: site.answers() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield site
    finally:
        process.terminate()
        process.wait()


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    return {one: (one.stat().st_mtime_ns, one.stat().st_size) for one in folder.rglob("*")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a bare checkout, with what is installed here."""
    tree = copied(tmp_path_factory.mktemp("wheel"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tree / "dist")]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next((tree / "dist").glob("*.whl"))


def test_a_wheel_brings_compiled_texts_and_collected_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    texts = {name for name in names if name.endswith(".po")}
    assert len(texts) > 10
    assert {name.removesuffix(".po") + ".mo" for name in texts} <= set(names)
    collected = [name for name in names if name.startswith("koppel/web/staticfiles/") and HASHED.search(name)]
    for start in ("koppel/koppel.", "koppel/wizard.", "django_htmx/htmx-2.min.", "mfa/js/webauthn."):
        assert any(name.startswith(f"koppel/web/staticfiles/{start}") for name in collected), start


def test_an_installed_wheel_runs_in_a_tree_that_it_does_not_write(
    wheel: Path, actor: Any, free_port: int, tmp_path: Path
) -> None:
    actor("administrator")
    code = tmp_path / "site"
    with zipfile.ZipFile(wheel) as parts:
        parts.extractall(code)
    for file in code.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    before = files(code)
    with running(code, "up", "--data-dir", str(tmp_path / "data"), port=free_port) as site:
        addresses = site.static_addresses()
        assert len(addresses) > 5
        for address in addresses:
            assert HASHED.search(address), address
            answer = site.get(address)
            assert (answer.status, "immutable" in answer.caching) == (HTTPStatus.OK, True), address
        plain = site.get("/static/koppel/koppel.css")
        assert (plain.status, plain.caching) == (HTTPStatus.OK, "max-age=60, public")
        assert "Wachtwoord" in site.get("/accounts/login/", language="nl").text
        assert "not_built" not in site.log.read_text()
    assert files(code) == before
    for file in code.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)


def test_a_checkout_in_which_nothing_was_built_works_and_says_so(
    clean_database: None, free_port: int, tmp_path: Path
) -> None:
    code = copied(tmp_path) / "src"
    before = files(code)
    with running(code, "web", port=free_port) as site:
        addresses = site.static_addresses()
        assert "/static/koppel/koppel.css" in addresses
        for address in addresses:
            answer = site.get(address)
            assert (answer.status, answer.caching) == (HTTPStatus.OK, "max-age=60, public"), address
        words = site.log.read_text()
        assert "Static files (account, django_htmx, koppel, mfa) are not collected" in words
        assert "make install" in words
    assert files(code) == before


ADDRESSES = """
import django; django.setup()
from django.templatetags.static import static
print(*(static(name) for name in ("koppel/koppel.css", "koppel/wizard.js", "koppel/extra.js", "django_htmx/htmx-2.min.js")))
"""


def test_what_changed_goes_by_its_plain_name_until_it_is_built_again(tmp_path: Path) -> None:
    code = copied(tmp_path) / "src"
    static, collected = code / "koppel/web/static/koppel", code / "koppel/web/staticfiles"

    def addresses() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", ADDRESSES], env=environment(code), capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    def build() -> None:
        subprocess.run([sys.executable, "-m", "koppel.web.build"], env=environment(code), check=True)

    build()
    first = addresses()
    assert [bool(HASHED.search(one)) for one in first] == [True, True, False, True]

    (static / "extra.js").write_text("export const extra = 1;\n")
    (static / "wizard.js").write_text('import { extra } from "./extra.js";\nconsole.log(extra);\n')
    (static / "koppel.css").write_text("body { background: url(koppel.svg) }\n")
    plain = addresses()
    assert plain[:3] == ["/static/koppel/koppel.css", "/static/koppel/wizard.js", "/static/koppel/extra.js"]
    assert plain[3] == first[3], "What others made has not changed."

    build()
    style, wizard, extra, others = addresses()
    assert all(HASHED.search(one) for one in (style, wizard, extra, others))
    assert first[0] != style
    written = {one: (collected / one.removeprefix("/static/")).read_text() for one in (style, wizard)}
    assert f'"./{Path(extra).name}"' in written[wizard]
    assert re.search(r'url\("?koppel\.[0-9a-f]{12}\.svg"?\)', written[style])
