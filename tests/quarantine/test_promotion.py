"""A streaming standby that is promoted is no copy: nothing stops."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from koppel.cli.checks.failover import NONE
from tests.fixtures.clusters import (
    Cluster,
    addresses_of_both,
    has_clusters,
    start_standby,
    two_clusters,
)
from tests.fixtures.requirements import DEBIAN_POSTGRESQL, skip_without
from tests.fixtures.stack import wait_until

pytestmark = pytest.mark.drill


@pytest.fixture
def clusters() -> Iterator[tuple[Cluster, Cluster]]:
    """A primary with Koppel's roles and empty database, and the place of its standby."""
    if not has_clusters():
        skip_without(DEBIAN_POSTGRESQL)
    with two_clusters() as both:
        yield both


def test_a_promoted_standby_is_not_in_quarantine(clusters: tuple[Cluster, Cluster], tmp_path: Path) -> None:
    primary, standby = clusters
    _koppel(primary, tmp_path, "migrate")
    assert _quarantine(primary, tmp_path) == "off"
    file = tmp_path / "installation.json"
    before = json.loads(file.read_text())["id"]
    start_standby(primary, standby)
    with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
        connection.execute("UPDATE kit_installation_identity SET seen_at = now()")
    primary.stop()
    standby.promote()
    assert _quarantine(standby, tmp_path) == "off"
    assert json.loads(file.read_text())["id"] == before

    file.unlink()  # the same database on a machine that does not know it
    assert _quarantine(standby, tmp_path) == "missing_id"


def test_check_says_which_commits_wait_for_a_standby_and_what_may_be_lost(
    clusters: tuple[Cluster, Cluster], tmp_path: Path
) -> None:
    primary, standby = clusters
    both, primary_url = addresses_of_both(primary, standby).app_url, primary.addresses.app_url
    _koppel(primary, tmp_path, "migrate")
    assert _standby_findings(primary_url, tmp_path) == [(True, NONE)]
    start_standby(primary, standby, cluster_name="south")
    [(is_ok, text)] = _standby_findings(both, tmp_path)
    assert is_ok
    assert text.startswith("The standby south is asynchronous and has received everything just now.")
    assert "a consent that was renewed meanwhile needs a new sign-in" in text

    os.kill(standby.receiver_pid(), signal.SIGSTOP)
    with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE TABLE filler AS SELECT generate_series(1, 100000)")
        assert _is_behind(_standby_findings(both, tmp_path))
        assert not _is_behind(_standby_findings(primary_url, tmp_path)), "The role may not read that."
        connection.execute("GRANT pg_read_all_stats TO koppel_app")
        assert _is_behind(_standby_findings(primary_url, tmp_path))
    os.kill(standby.receiver_pid(), signal.SIGCONT)

    _set(primary, "synchronous_standby_names", "south")
    [(is_ok, text)] = _standby_findings(both, tmp_path)
    assert is_ok
    assert "wait for the standby south (synchronous)" in text
    assert "target_session_attrs" in _standby_findings(both.partition("?")[0], tmp_path)[0][1]

    standby.promote()
    (is_ok, text), (is_followed, nobody) = _standby_findings(both, tmp_path)
    assert (is_ok, is_followed) == (False, False)
    assert "both accept writes" in text
    assert "commits wait until one does" in nobody
    standby.stop()
    (is_ok, text), (is_followed, _nobody) = _standby_findings(both, tmp_path)
    assert (is_ok, is_followed) == (True, False)
    assert f"127.0.0.1:{standby.port} of DATABASE_URL does not answer" in text


def _is_behind(findings: list[tuple[bool, str]]) -> bool:
    [(_is_ok, text)] = findings
    return re.search(r"asynchronous and [\d,]+ kB( and [\d.]+ s)? behind", text) is not None


def _standby_findings(url: str, home: Path) -> list[tuple[bool, str]]:
    """What `koppel check` says about standbys: whether it is well, and the sentence."""
    lines = _run(url, url, home, "check", "--json").stdout.splitlines()
    findings = [json.loads(line) for line in lines]
    return [(finding["ok"], finding["text"]) for finding in findings if finding["topic"] == "standby"]


def _set(cluster: Cluster, name: str, value: str) -> None:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")
        wait_until(lambda: connection.execute(f"SHOW {name}".encode()).fetchone() == (value,))


def _quarantine(cluster: Cluster, home: Path) -> str:
    """`off`, or why it is on."""
    facts = json.loads(_koppel(cluster, home, "quarantine", "status", "--json").splitlines()[-1])
    return str(facts.get("reason", facts["quarantine"]))


def _koppel(cluster: Cluster, home: Path, *words: str) -> str:
    done = _run(cluster.addresses.app_url, cluster.addresses.owner_url, home, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _run(url: str, owner_url: str, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    plain = {name: text for name, text in os.environ.items() if not name.startswith("KOPPEL_")}
    environment = {
        **plain,
        "DATABASE_URL": url,
        "KOPPEL_OWNER_DATABASE_URL": owner_url,
        "KOPPEL_DATA_DIR": str(home),
    }
    command = [sys.executable, "-m", "koppel.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
