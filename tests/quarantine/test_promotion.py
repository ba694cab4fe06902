"""A streaming standby that is promoted is no copy: nothing stops."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from koppel.kit.database.embedded_postgres import Addresses, choose_free_port
from tests.fixtures.requirements import DEBIAN_POSTGRESQL, skip_without
from tests.fixtures.stack import wait_until

pytestmark = pytest.mark.drill

PASSWORD = "a-secret-of-the-server"


class Cluster:
    """A cluster of Debian's PostgreSQL, run by its own account."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        self.port = choose_free_port()

    def initialise(self) -> None:
        secret = self.folder.with_suffix(".password")
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(
            "initdb", "-D", str(self.folder), "-U", "postgres", f"--pwfile={secret}", "-A", "scram-sha-256"
        )

    def copy_from(self, primary: "Cluster") -> None:
        self.run("pg_basebackup", "-D", str(self.folder), "-R", "-d", primary.url("postgres", "postgres"))

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories="
        self.run("pg_ctl", "-D", str(self.folder), "-l", f"{self.folder}.log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder), "-m", "immediate", "stop")

    def url(self, role: str, database: str = "koppel") -> str:
        return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @property
    def addresses(self) -> Addresses:
        return Addresses(*(self.url(role) for role in ("koppel_app", "koppel_owner", "postgres")))

    def run(self, program: str, *arguments: str) -> None:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        done = subprocess.run(
            [*command, str(self._programs / program), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture
def clusters() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary with Koppel's roles and empty database, and the place of its standby."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    if not folders or os.geteuid() != 0:
        skip_without(DEBIAN_POSTGRESQL)
    with tempfile.TemporaryDirectory(prefix="koppel-standby-", dir="/var/tmp") as folder:
        subprocess.run(["chown", "postgres", folder], check=True)
        primary, standby = (Cluster(Path(folder) / name, folders[-1]) for name in ("primary", "standby"))
        primary.initialise()
        primary.start()
        with psycopg.connect(primary.url("postgres", "postgres"), autocommit=True) as connection:
            for statement in (
                f"CREATE ROLE koppel_owner LOGIN PASSWORD '{PASSWORD}'",
                f"CREATE ROLE koppel_app LOGIN PASSWORD '{PASSWORD}'",
                "CREATE DATABASE koppel OWNER koppel_owner",
                "REVOKE ALL ON DATABASE koppel FROM PUBLIC",
                "GRANT CONNECT, TEMPORARY ON DATABASE koppel TO koppel_app",
            ):
                connection.execute(statement.encode())
        try:
            yield primary, standby
        finally:
            for cluster in (primary, standby):
                if (cluster.folder / "postmaster.pid").exists():
                    cluster.stop()


def test_a_promoted_standby_is_not_in_quarantine(clusters: tuple[Cluster, Cluster], tmp_path: Path) -> None:
    primary, standby = clusters
    _koppel(primary, tmp_path, "migrate")
    assert _quarantine(primary, tmp_path) == "off"
    file = tmp_path / "installation.json"
    before = json.loads(file.read_text())["id"]
    standby.copy_from(primary)
    standby.start()
    with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
        wait_until(lambda: connection.execute("SELECT 1 FROM pg_stat_replication").fetchone() is not None)
        connection.execute("UPDATE kit_installation_identity SET seen_at = now()")
    primary.stop()
    with psycopg.connect(standby.url("postgres"), autocommit=True) as connection:
        connection.execute("SELECT pg_promote()")
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
    assert _quarantine(standby, tmp_path) == "off"
    assert json.loads(file.read_text())["id"] == before

    file.unlink()  # the same database on a machine that does not know it
    assert _quarantine(standby, tmp_path) == "missing_id"


def _quarantine(cluster: Cluster, home: Path) -> str:
    """`off`, or why it is on."""
    facts = json.loads(_koppel(cluster, home, "quarantine", "status", "--json").splitlines()[-1])
    return str(facts.get("reason", facts["quarantine"]))


def _koppel(cluster: Cluster, home: Path, *words: str) -> str:
    plain = {name: text for name, text in os.environ.items() if not name.startswith("KOPPEL_")}
    environment = {
        **plain,
        "DATABASE_URL": cluster.addresses.app_url,
        "KOPPEL_OWNER_DATABASE_URL": cluster.addresses.owner_url,
        "KOPPEL_DATA_DIR": str(home),
    }
    command = [sys.executable, "-m", "koppel.cli", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
