"""Each program of an installation has only its own secrets, and its files are for its account alone."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from koppel.cli.environment import (
    environment_without_secrets,
    restrict_permissions,
    web_environment,
    worker_environment,
)
from koppel.kit.database.embedded_postgres import choose_free_port
from tests.fixtures.stack import end_process, wait_until

OWNER, APP, AUDIT = "KOPPEL_OWNER_DATABASE_URL", "DATABASE_URL", "KOPPEL_AUDIT_KEYS"
SECRETS = {
    OWNER,
    APP,
    AUDIT,
    "KOPPEL_VAULT_KEYS",
    "KOPPEL_SECRET_KEY",
    "KOPPEL_SMTP_URL",
    "KOPPEL_KVK_API_KEY",
}


def secrets_of(pid: int) -> set[str]:
    """The names of secrets in the environment of a running process, as anybody with its rights reads them."""
    words = (Path("/proc") / str(pid) / "environ").read_bytes().split(b"\0")
    return {word.partition(b"=")[0].decode() for word in words} & SECRETS


def children_of(pid: int) -> dict[int, str]:
    """Process ids and command lines of everything that a process started."""
    processes: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid:
                processes[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (OSError, ValueError):
            continue
    return processes


@pytest.fixture
def running(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A whole Koppel with a sandbox in a data directory that an older version left open to all."""
    home = tmp_path / "data"
    (home / "mail").mkdir(parents=True)
    (home / "mail" / "old.log").write_text("a link")
    for path in (home, home / "mail", home / "mail" / "old.log"):
        path.chmod(0o755)
    web, sandbox = str(choose_free_port()), str(choose_free_port())
    command = ["demo", "--data-dir", str(home), "--port", web, "--sandbox-port", sandbox]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KOPPEL_KVK_API_KEY": "k"}
    process = subprocess.Popen(
        [sys.executable, "-m", "koppel.cli", *command],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(programs(process.pid)) == 4, seconds=250)
        yield process
    finally:
        end_process(process)


def programs(pid: int) -> dict[str, int]:
    words = {
        "web": "granian",
        "worker": "koppel.cli worker",
        "sandbox": "koppel_sandbox",
        "database": "postgres -D",
    }
    return {
        name: child
        for child, line in children_of(pid).items()
        for name, word in words.items()
        if word in line
    }


@pytest.mark.drill
def test_every_program_has_only_its_own_secrets_and_writes_private_files(
    running: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    processes = programs(running.pid)
    of_koppel = {APP, "KOPPEL_VAULT_KEYS", "KOPPEL_SECRET_KEY", "KOPPEL_KVK_API_KEY"}
    for name, expected in {
        "web": of_koppel,
        "worker": of_koppel | {AUDIT},
        "sandbox": set(),
        "database": set(),
    }.items():
        for pid in (processes[name], *children_of(processes[name])):
            assert secrets_of(pid) == expected, (name, pid)
    for path in (tmp_path / "data").rglob("*"):
        if path.is_symlink() or not path.exists():
            continue
        others = stat.S_IMODE(path.lstat().st_mode) & 0o077
        assert others in ((0, 0o011) if path.is_dir() else (0,)), (path, oct(others))


def test_a_worker_begins_anew_without_the_owners_address(database_addresses: object) -> None:
    command = [sys.executable, "-m", "koppel.cli", "worker"]
    with subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: secrets_of(process.pid) & {APP, OWNER} == {APP}, seconds=30)
        finally:
            end_process(process)


def test_an_environment_is_reduced_to_what_a_program_needs() -> None:
    everything = dict.fromkeys(SECRETS, "x") | {
        "PATH": "/bin",
        "PGPASSWORD": "x",
        "DJANGO_SETTINGS_MODULE": "s",
    }
    assert environment_without_secrets(everything) == {"PATH": "/bin"}
    assert set(everything) - set(worker_environment(everything)) == {OWNER}
    assert set(everything) - set(web_environment(everything)) == {OWNER, AUDIT}


def test_a_folder_of_an_older_version_is_closed(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o755)
    (tmp_path / "logs" / "web.log").touch(mode=0o644)
    restrict_permissions(tmp_path)
    modes = [
        stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path, tmp_path / "logs", tmp_path / "logs" / "web.log")
    ]
    assert modes == [0o700, 0o700, 0o600]
