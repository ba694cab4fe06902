"""`koppel demo-once` on real ledgers, while its worker and its web process are killed.

The test counts the files' contents itself, line by line, without code of Koppel or its sandbox.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from koppel.kit.database.embedded_postgres import running_addresses
from tests.fixtures.stack import Sandbox

GENERATED = 8
KILLS = 2
BROKEN = "not-a-sie-file.se"
pytestmark = [pytest.mark.kill, pytest.mark.timeout(600)]


@dataclass(frozen=True, kw_only=True)
class Counted:
    accounts: int
    vouchers: int
    lines: int
    debit: Decimal


@pytest.fixture(scope="module")
def outcome(shared_reference: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `koppel demo-once --json` printed although its worker was killed again and again, and its web
    once.
    """
    home = tmp_path_factory.mktemp("home")
    words = (
        "demo-once",
        "--administrations",
        str(GENERATED),
        "--sie",
        str(shared_reference / "sie"),
        "--json",
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home)}
    with subprocess.Popen(
        [sys.executable, "-m", "koppel.cli", *words],
        cwd=home,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        killed, webs = kill_programs_of(process, home)
        said, complaints = process.communicate()
    assert killed == KILLS, f"Only {killed} workers were there to be killed.\n{complaints}"
    assert webs, "the web was there to be killed"
    assert process.returncode == 0, complaints
    assert BROKEN in complaints, "the file that is no ledger is named"
    return json.loads(said)  # type: ignore[no-any-return]


def kill_programs_of(process: "subprocess.Popen[str]", home: Path) -> tuple[int, int]:
    """SIGKILL for one worker after the other, each when it has read some entries and not yet all; for the web
    with the first. How many workers, and processes of the web.
    """
    killed: set[str] = set()
    webs: set[int] = set()
    with entries_kept_back(process):
        while len(killed) < KILLS and process.poll() is None:
            for worker in reading_entries(home) - killed:
                for web, _words in [] if killed else programs_below(process.pid, b"granian"):
                    os.kill(web, signal.SIGKILL)
                    webs.add(web)
                os.kill(int(worker.split(":")[1]), signal.SIGKILL)
                killed.add(worker)
                break
            time.sleep(0.2)  # it stands still there; to look takes a tenth of that
    return len(killed), len(webs)


@contextlib.contextmanager
def entries_kept_back(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Every company's second page of entries, once for each worker that is to die: whenever we look, it is in
    the middle.
    """
    sandbox = None
    while process.poll() is None and sandbox is None:
        for _pid, words in programs_below(process.pid, b"koppel_sandbox"):
            with contextlib.suppress(OSError):
                fake = Sandbox(f"http://127.0.0.1:{int(words[words.index(b'--port') + 1])}")
                for company in fake.companies():
                    fake.fault("journaltransaction", kind="hold", company=company["id"], skip=1, times=KILLS)
                sandbox = fake
        time.sleep(0.05)
    yield
    with contextlib.suppress(OSError):
        if sandbox is not None:
            sandbox.release()


def programs_below(root: int, word: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Process ids and command lines with this word that `root` started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if word in words and root in ancestors(int(folder.name)):
                yield int(folder.name), words
        except (OSError, ValueError):
            continue


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
        yield pid


def reading_entries(home: Path) -> set[str]:
    """Names of the workers that have begun to: host, process id and something made up."""
    for data in home.glob("koppel-demo-once-*/postgres"):
        with contextlib.suppress(psycopg.Error):
            if addresses := running_addresses(data):
                with psycopg.connect(addresses.superuser_url) as connection:
                    return {str(name) for (name,) in connection.execute(READING).fetchall()}
    return set()


READING = """
SELECT DISTINCT run.worker FROM sync_run run JOIN sync_run_resource part ON part.run_id = run.id
 WHERE run.state = 'running' AND part.resource = 'entries' AND part.state = 'running' AND part.pages > 0
"""


def count_labels(file: Path) -> Counted:
    """Labels at the start of lines; the amount is what follows the objects in braces."""
    lines = [line.strip() for line in file.read_bytes().split(b"\n")]
    accounts = {line.split()[1] for line in lines if line.split()[:1] == [b"#KONTO"]}
    amounts = [
        Decimal(re.match(rb'#TRANS\s+"?[^\s"]+"?\s+(?:\{[^}]*\}\s+)?"?(-?[\d.]+)', line)[1].decode())  # type: ignore[index]
        for line in lines
        if line.split()[:1] == [b"#TRANS"]
    ]
    vouchers = sum(line.split()[:1] == [b"#VER"] for line in lines)
    return Counted(
        accounts=len(accounts),
        vouchers=vouchers,
        lines=len(amounts),
        debit=sum((one for one in amounts if one > 0), Decimal(0)),
    )


def test_every_good_file_is_an_active_administration_with_exactly_its_rows(
    outcome: dict[str, Any], shared_reference: Path
) -> None:
    files = {file.name: file for file in (shared_reference / "sie").glob("*.s[ei]") if file.name != BROKEN}
    by_source = {one["source"]: one for one in outcome["administrations"] if one["source"]}
    assert set(by_source) == set(files)
    for name, file in files.items():
        rows, want = by_source[name]["rows"], count_labels(file)
        assert by_source[name]["status"] == "active"
        assert (rows["accounts"], rows["entries"], rows["entry_lines"]) == (
            want.accounts,
            want.vouchers,
            want.lines,
        ), name
        assert Decimal(by_source[name]["debit"]) == want.debit, name


def test_generated_companies_are_active_too(outcome: dict[str, Any]) -> None:
    generated = [one for one in outcome["administrations"] if one["source"] is None]
    assert len(generated) == GENERATED
    assert {one["status"] for one in generated} == {"active"}
    assert all(one["rows"]["entry_lines"] >= 200 for one in generated)
    assert [one["issues"] for one in generated] == [[]] * GENERATED


def test_differences_in_real_ledgers_are_reported(outcome: dict[str, Any]) -> None:
    issues = {one["source"]: one["issues"] for one in outcome["administrations"]}
    assert any(issue.startswith("29 accounts ") for issue in issues["fortnox.si"])
    unbalanced = issues["avendo-one-voucher-unbalanced.se"]
    assert any("does not balance" in issue for issue in unbalanced)
    assert any("1910" in issue for issue in unbalanced)
    [opening] = issues["avendo.se"]
    assert opening.startswith("The opening balances of 2011 ")
    assert "1,151,678.15" in opening, "as the file states them"
