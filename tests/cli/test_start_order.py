"""Programs start in any order: they wait for the database, and refuse what would harm its data."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from koppel.cli.checks import requirements
from koppel.cli.checks.requirements import POOLED, check_pooling, require_startable
from koppel.cli.environment import load_installation, wait_until_reachable
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import Addresses, EmbeddedPostgres, choose_free_port, is_free
from tests.fixtures.stack import end_process, wait_until

pytestmark = pytest.mark.slow
KEYS = {"KOPPEL_SECRET_KEY": "k" * 50, "KOPPEL_VAULT_KEYS": "test:" + "QUFB" * 10 + "QUE="}
REFUSED = 2


def environment(home: Path, **settings: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "KOPPEL_DATA_DIR": str(home / "data"), **settings}


def koppel(home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "koppel.cli", *words]
    return subprocess.run(
        command, env=environment(home, **settings), cwd=home, capture_output=True, text=True, check=False
    )


@contextlib.contextmanager
def forwarded(port: int, target: int) -> Iterator[None]:
    """Until the end of the block connections to `port` lead to `target`."""

    def copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                client = opened.enter_context(listener.accept()[0])
                server = opened.enter_context(socket.create_connection(("127.0.0.1", target)))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=copy, args=pair, daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    with contextlib.ExitStack() as opened, socket.create_server(("127.0.0.1", port)) as listener:
        accepting.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()


def test_web_waits_for_the_database(
    django_db_setup: None, database_addresses: Addresses, tmp_path: Path
) -> None:
    address = urlsplit(database_addresses.app_url)
    database_port, web_port = choose_free_port(), choose_free_port()
    url = address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{database_port}").geturl()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "koppel.cli", "web", "--port", str(web_port)],
            env=environment(tmp_path, DATABASE_URL=url, **KEYS),
            cwd=tmp_path,
            stdout=output,
            stderr=output,
        )
    try:
        wait_until(lambda: "waiting_for_database" in log.read_text())
        assert str(address.password) not in log.read_text()
        with forwarded(database_port, address.port or 0):
            wait_until(lambda: is_ready(web_port))
            assert process.poll() is None, log.read_text()
        assert log.read_text().count("waiting_for_database") == 1, "a line a minute"
        end_process(process)
        wait_until(lambda: is_free(web_port))  # what a killed server started ends by itself
    finally:
        end_process(process)


def is_ready(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200)
    except OSError:
        return False


def test_a_server_that_refuses_is_not_waited_for(database_addresses: Addresses) -> None:
    address = database_addresses.app_url.partition("@")[2]
    with pytest.raises(CommandError, match="cannot be used"):
        wait_until_reachable(f"postgresql://koppel_app:wrong@{address}", "DATABASE_URL")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("DATABASE_URL", "superuser", "is a superuser"),
        ("KOPPEL_VAULT_KEYS", "abc", "KOPPEL_VAULT_KEYS cannot be used"),
        ("KOPPEL_SECRET_KEY", "short", "KOPPEL_SECRET_KEY has 5 characters"),
    ],
)
def test_what_check_refuses_does_not_start(
    clean_database: None,
    database_addresses: Addresses,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    reason: str,
) -> None:
    require_startable()
    monkeypatch.setenv(variable, database_addresses.superuser_url if value == "superuser" else value)
    with pytest.raises(CommandError, match=reason):
        require_startable()


@pytest.mark.parametrize("program", ["web", "worker"])
def test_programs_do_not_start_before_the_migrations(
    django_db_setup: None, database_addresses: Addresses, tmp_path: Path, program: str
) -> None:
    words = ["--port", str(choose_free_port())] if program == "web" else []
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser:
        superuser.execute("UPDATE django_migrations SET app = 'other' WHERE app = 'audit'")
        try:
            done = koppel(tmp_path, program, *words, DATABASE_URL=database_addresses.app_url, **KEYS)
        finally:
            superuser.execute("UPDATE django_migrations SET app = 'audit' WHERE app = 'other'")
    assert (done.returncode, done.stdout) == (REFUSED, ""), done.stderr
    assert "run koppel migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_sessions_that_connections_share_are_refused(
    database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pooler in transaction mode gives the session that is free to whoever asks next."""
    monkeypatch.setenv("DATABASE_URL", database_addresses.app_url)
    assert check_pooling().is_ok
    for sessions in ([7, 7, 8], [7, 8, 9]):
        pids = iter(sessions)
        with monkeypatch.context() as patch:
            patch.setattr(requirements, "_session", lambda _connection: next(pids))  # noqa: B023 - used at once
            assert check_pooling().text == POOLED


@pytest.mark.drill
def test_of_three_migrations_at_once_two_wait(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "koppel.cli", "migrate"]
    with EmbeddedPostgres(tmp_path / "postgres", durable=False) as server:
        settings = {
            "DATABASE_URL": server.addresses.app_url,
            "KOPPEL_OWNER_DATABASE_URL": server.addresses.owner_url,
            **KEYS,
        }
        processes = [
            subprocess.Popen(
                command, env=environment(tmp_path, **settings), stderr=subprocess.PIPE, text=True
            )
            for _number in range(3)
        ]
        said = [process.communicate()[1] for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0], said
        with psycopg.connect(server.addresses.superuser_url) as superuser:
            query = "SELECT count(*), count(DISTINCT (app, name)) FROM django_migrations"
            assert len(set(superuser.execute(query).fetchone() or ())) == 1


def test_missing_secrets_beside_a_database_with_data_are_not_replaced(
    clean_database: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    with pytest.raises(CommandError, match="its secrets are missing"):
        load_installation(tmp_path, start_database=False, generate=True)
    assert not (tmp_path / "secrets.json").exists()
