"""Two hosts and a database: network namespaces joined by a bridge, PostgreSQL on TCP.

Needs root, `ip` (iproute2) and Debian's `postgresql`. A Unix socket would cross network namespaces, so there
is none.
"""

import contextlib
import fcntl
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from koppel.kit.database.embedded_postgres import Addresses, choose_free_port

BRIDGE, NETWORK = "koppel-br", "10.231.77"
HUB = f"{NETWORK}.1"


class Host:
    """A network namespace with one virtual cable to the bridge."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.cable = f"koppel-{name}", f"koppel-v{number}"
        _ip("netns", "add", self.name)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self.cable, "master", BRIDGE, "up")
        _ip("-n", self.name, "addr", "add", f"{NETWORK}.{number + 1}/24", "dev", "eth0")
        _ip("-n", self.name, "link", "set", "eth0", "up")
        _ip("-n", self.name, "link", "set", "lo", "up")

    def command(self, *words: str) -> list[str]:
        """Return the command line that runs the command on this host."""
        return ["ip", "netns", "exec", self.name, *words]

    def cut_off(self) -> None:
        _ip("link", "set", self.cable, "down")

    def reconnect(self) -> None:
        _ip("link", "set", self.cable, "up")


def missing_requirement() -> str:
    """Return what is missing to simulate two hosts; '' when nothing is."""
    if os.geteuid() != 0:
        return "root"
    if subprocess.run(["sh", "-c", "command -v ip"], capture_output=True, check=False).returncode:
        return "iproute2"
    if not _programs():
        return "Debian's PostgreSQL"
    name = f"koppel-try-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return "" if done.returncode == 0 else "network namespaces"


@contextlib.contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Create the two hosts; waits while another process uses their names."""
    with Path("/tmp/koppel-two-hosts.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        _tear_down()
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{HUB}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        try:
            yield Host("a", 1), Host("b", 2)
        finally:
            _tear_down()


@contextlib.contextmanager
def debian_postgres() -> Iterator[Addresses]:
    """Start a cluster with the roles of docs/operations.md, on the hub's address."""
    programs = _programs()
    port, word = choose_free_port(), secrets.token_hex(12)
    with tempfile.TemporaryDirectory(prefix="koppel-bench-", dir="/var/tmp") as folder:
        subprocess.run(["chown", "postgres", folder], check=True)
        data = f"{folder}/data"
        secret = Path(folder) / "password"
        secret.write_text(word)
        subprocess.run(["chown", "postgres", str(secret)], check=True)
        _as_postgres(
            f"{programs}/initdb",
            "-D",
            data,
            "-U",
            "postgres",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
        )
        with (Path(data) / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {NETWORK}.0/24 scram-sha-256\n")
        options = f"-h {HUB} -p {port} -c unix_socket_directories= -c max_connections=100"
        _as_postgres(f"{programs}/pg_ctl", "-D", data, "-l", f"{folder}/log", "-w", "-o", options, "start")
        try:
            yield _roles(f"postgresql://{{}}:{word}@{HUB}:{port}/{{}}", word)
        finally:
            _as_postgres(f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "stop")


def _roles(address: str, word: str) -> Addresses:
    import psycopg

    with psycopg.connect(address.format("postgres", "postgres"), autocommit=True) as connection:
        for statement in (
            f"CREATE ROLE koppel_owner LOGIN CREATEROLE PASSWORD '{word}'",
            f"CREATE ROLE koppel_app LOGIN PASSWORD '{word}'",
            "CREATE DATABASE koppel OWNER koppel_owner",
            "REVOKE ALL ON DATABASE koppel FROM PUBLIC",
            "GRANT CONNECT, TEMPORARY ON DATABASE koppel TO koppel_app",
        ):
            connection.execute(statement.encode())
    return Addresses(*(address.format(role, "koppel") for role in ("koppel_app", "koppel_owner", "postgres")))


def _programs() -> str:
    return max(map(str, Path("/usr/lib/postgresql").glob("*/bin")), default="")


def _as_postgres(*command: str) -> None:
    done = subprocess.run(
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr}")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def _tear_down() -> None:
    for words in (["netns", "del", "koppel-a"], ["netns", "del", "koppel-b"], ["link", "del", BRIDGE]):
        subprocess.run(["ip", *words], capture_output=True, check=False)
