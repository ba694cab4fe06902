"""The embedded PostgreSQL: private, one owner, durable when killed."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from koppel.kit.database.embedded_postgres import (
    DataDirectoryInUse,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    OtherMajorVersion,
    choose_free_port,
    running_addresses,
)
from tests.fixtures.requirements import ROOT, skip_without
from tests.fixtures.stack import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "postgres") as started:
        yield started


def store_word(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.addresses.owner_url) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('ledger')")


def stored_words(server: EmbeddedPostgres) -> list[tuple[str]]:
    with psycopg.connect(server.addresses.owner_url) as connection:
        return connection.execute("SELECT word FROM kept").fetchall()


def test_a_second_start_makes_nothing_anew_and_keeps_data_and_passwords(tmp_path: Path) -> None:
    created = tmp_path / "postgres" / "cluster" / "PG_VERSION"
    with EmbeddedPostgres(tmp_path / "postgres") as first:
        store_word(first)
        addresses, stamp = first.addresses, created.stat().st_mtime_ns
    with EmbeddedPostgres(tmp_path / "postgres") as second:
        assert created.stat().st_mtime_ns == stamp
        assert second.addresses == addresses
        assert stored_words(second) == [("ledger",)]


@pytest.mark.kill
def test_a_killed_server_comes_back_on_the_same_address_with_its_rows(server: EmbeddedPostgres) -> None:
    store_word(server)
    before = server.addresses
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(server.ensure_running)
    assert server.addresses == before
    assert stored_words(server) == [("ledger",)]
    assert server.ensure_running() is False


@pytest.mark.kill
def test_a_recovering_server_is_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash it says for minutes that it is starting up; stopped and started anew, it would begin all
    over again.
    """
    connect, seconds = psycopg.connect, [0, 50, 100, 150]

    def busy(*args: object, **kwargs: object) -> object:
        connect(*args, **kwargs).close()  # type: ignore[arg-type, call-overload]
        if len(seconds) > 1:
            seconds.pop(0)
            raise psycopg.OperationalError("FATAL:  the database system is starting up")
        return connect(*args, **kwargs)  # type: ignore[arg-type, call-overload]

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + seconds[0], sleep=time.sleep)
    created = EmbeddedPostgres(tmp_path / "postgres", durable=False)
    with monkeypatch.context() as recovering:
        recovering.setattr("koppel.kit.database.embedded_postgres.server.time", clock)
        recovering.setattr(psycopg, "connect", busy)
        created.start()
    try:
        assert running_addresses(tmp_path / "postgres") == created.addresses
    finally:
        created.stop()


def test_a_server_whose_koppel_was_killed_is_taken_over(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from koppel.kit.database.embedded_postgres import "
        "EmbeddedPostgres;"
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start(); print('up', flush=True); "
        "time.sleep(600)"
    )
    home = tmp_path / "postgres"
    with subprocess.Popen([sys.executable, "-c", program, str(home)], stdout=subprocess.PIPE) as koppel:
        assert koppel.stdout is not None
        assert koppel.stdout.readline() == b"up\n"
        with pytest.raises(DataDirectoryInUse, match=f"process {koppel.pid}"):
            EmbeddedPostgres(home).start()
        koppel.kill()
    with EmbeddedPostgres(home) as heir:
        store_word(heir)
        assert stored_words(heir) == [("ledger",)]


def test_a_stale_pid_file_of_a_foreign_process_does_not_stop_the_start(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        store_word(server)
    stale = tmp_path / "postgres" / "cluster" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n1\n5432\n\n127.0.0.1\n")
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        assert stored_words(server) == [("ledger",)]


@pytest.mark.parametrize("text", ["", "rubbish\n"])
def test_a_pid_file_that_was_never_finished_does_not_stop_the_start(tmp_path: Path, text: str) -> None:
    """The power went, or the disk was full, while it was written."""
    with EmbeddedPostgres(tmp_path / "postgres"):
        pass
    (tmp_path / "postgres" / "cluster" / "postmaster.pid").write_text(text)
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        assert server.pid


def test_a_directory_in_use_is_refused_in_one_sentence(server: EmbeddedPostgres) -> None:
    with pytest.raises(
        DataDirectoryInUse, match=r"is in use by another Koppel .* choose another with --data-dir"
    ):
        EmbeddedPostgres(server.data_dir).start()
    assert server.ensure_running() is False


def test_data_of_another_major_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        store_word(server)
    version = tmp_path / "postgres" / "cluster" / "PG_VERSION"
    own_version = version.read_text()
    version.write_text("13\n")
    with pytest.raises(OtherMajorVersion, match=r"written by PostgreSQL 13 .* nothing was changed"):
        EmbeddedPostgres(tmp_path / "postgres").start()
    version.write_text(own_version)
    with EmbeddedPostgres(tmp_path / "postgres") as server:
        assert stored_words(server) == [("ledger",)]


def test_lost_passwords_are_named(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "postgres"):
        pass
    (tmp_path / "postgres" / "access.json").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"access\.json is missing; restore it from the backup"):
        EmbeddedPostgres(tmp_path / "postgres").start()


def test_neither_role_can_look_past_row_security(server: EmbeddedPostgres) -> None:
    for url in (server.addresses.app_url, server.addresses.owner_url):
        with psycopg.connect(url) as connection:
            privileges = connection.execute(
                "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles "
                "WHERE rolname = current_user"
            ).fetchone()
            assert privileges == (False, False, False, False)
    with psycopg.connect(server.addresses.app_url) as connection:
        connection.execute("CREATE TEMPORARY TABLE page (line int)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE TABLE public.mine (line int)")


def test_wrong_passwords_and_other_users_are_refused(server: EmbeddedPostgres) -> None:
    forged = server.addresses.app_url.replace("koppel_app:", "koppel_app:x")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(forged)
    assert (server.data_dir / "access.json").stat().st_mode & 0o777 == 0o600
    assert (server.data_dir / "cluster").stat().st_mode & 0o777 == 0o700
    assert "password" not in repr(server.addresses)


def test_sessions_of_sql_readers_have_the_lowest_priority_and_little_memory(
    server: EmbeddedPostgres,
) -> None:
    if sys.platform != "linux":
        skip_without("Linux, which tells the processes of a server")
    with psycopg.connect(server.addresses.superuser_url) as superuser:
        superuser.execute("CREATE ROLE koppel_reader_slow LOGIN PASSWORD 'word'")
        superuser.execute("GRANT CONNECT ON DATABASE koppel TO koppel_reader_slow")
    address = re.sub("//[^@]+@", "//koppel_reader_slow:word@", server.addresses.app_url)
    with psycopg.connect(address) as reader, psycopg.connect(server.addresses.app_url) as application:
        pid = reader.info.backend_pid
        wait_until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19)
        group = Path(f"/proc/{pid}/autogroup")
        assert not group.exists() or "nice 19" in group.read_text()
        own_priority = os.getpriority(os.PRIO_PROCESS, application.info.backend_pid)
        assert own_priority == os.getpriority(os.PRIO_PROCESS, 0)
        values = ", ".join(f"repeat('{letter}', 200000000)" for letter in "abcdef")
        reader.execute("SET work_mem = '10GB'")
        with pytest.raises(psycopg.errors.OutOfMemory):
            reader.execute(f"SELECT length(concat({values}))".encode())
        reader.rollback()
        assert reader.execute("SELECT 1").fetchone() == (1,), "The session goes on."
        assert application.execute("SELECT 1").fetchone() == (1,)


def test_a_statement_ends_when_its_client_has_gone(server: EmbeddedPostgres) -> None:
    client = psycopg.connect(server.addresses.app_url)
    client.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
    pid = client.info.backend_pid
    client.close()
    with psycopg.connect(server.addresses.superuser_url, autocommit=True) as superuser:
        wait_until(
            lambda: (
                superuser.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone() is None
            )
        )


def test_a_command_finds_the_server_that_another_process_runs(server: EmbeddedPostgres) -> None:
    assert running_addresses(server.data_dir) == server.addresses
    server.stop()
    assert running_addresses(server.data_dir) is None


def test_a_chosen_port_is_not_chosen_again() -> None:
    few = range(25_432, 25_442)
    ports = [choose_free_port(few) for _each in range(5)]
    assert len(set(ports)) == 5


def test_the_given_port_is_used(tmp_path: Path) -> None:
    port = choose_free_port()
    with EmbeddedPostgres(tmp_path / "postgres", port) as server:
        assert f"127.0.0.1:{port}/koppel" in server.addresses.app_url


def test_as_root_the_server_runs_as_nobody_or_in_a_namespace_and_no_folder_is_opened_up(
    tmp_path: Path,
) -> None:
    if os.geteuid() != 0:
        skip_without(ROOT)
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    public = Path(tempfile.mkdtemp(prefix="koppel-public-"))
    public.chmod(0o755)
    try:
        for folder in (private, public):
            mode = folder.stat().st_mode
            with EmbeddedPostgres(folder / "postgres") as server:
                store_word(server)
                assert stored_words(server) == [("ledger",)]
            assert folder.stat().st_mode == mode
    finally:
        shutil.rmtree(public)
