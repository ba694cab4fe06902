"""A database from before Koppel 0.2, or of a newer one, is refused with a sentence and left unchanged."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from koppel.kit.database.embedded_postgres import Addresses

NAME = "koppel_before_0_2"
SENTENCE = (
    "This database was made by a Koppel before 0.2, and no way leads from there to this version; "
    "nothing was changed."
)
OLD_TABLES = """
CREATE TABLE django_migrations (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, app varchar(255) NOT NULL,
                                name varchar(255) NOT NULL, applied timestamptz NOT NULL DEFAULT now());
CREATE TABLE organisations_organisation (id bigint PRIMARY KEY, name text);
INSERT INTO django_migrations (app, name)
VALUES ('audit', '0001_initial'), ('organisations', '0001_initial'), ('books', '0002_sql_readers'), ('kit',
  '0001_quarantine');
GRANT SELECT ON ALL TABLES IN SCHEMA public TO koppel_app;
"""
CONTENTS = """
SELECT array_agg(c.oid::regclass::text ORDER BY c.oid),
       (SELECT array_agg(app || '.' || name ORDER BY id) FROM django_migrations)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
"""


@contextlib.contextmanager
def empty_database(database_addresses: Addresses, name: str) -> Iterator[Addresses]:
    """Another database on the session's server, for the length of the block."""
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        server.execute(f"CREATE DATABASE {name} OWNER koppel_owner".encode())
        yield Addresses(
            *(
                f"{url.rpartition('/')[0]}/{name}"
                for url in (
                    database_addresses.app_url,
                    database_addresses.owner_url,
                    database_addresses.superuser_url,
                )
            )
        )
        server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def before(database_addresses: Addresses) -> Iterator[Addresses]:
    """A database as a Koppel before 0.2 left it, as far as this matters."""
    with empty_database(database_addresses, NAME) as addresses:
        with psycopg.connect(addresses.owner_url) as owner:
            owner.execute(OLD_TABLES)
        yield addresses


def contents(addresses: Addresses) -> tuple[object, ...]:
    with psycopg.connect(addresses.owner_url) as owner:
        return owner.execute(CONTENTS).fetchone() or ()


def run(
    addresses: Addresses, home: Path, *words: str, owner: bool = True, **settings: str
) -> subprocess.CompletedProcess[str]:
    environment = (
        os.environ | {"KOPPEL_DATA_DIR": str(home / "data"), "DATABASE_URL": addresses.app_url} | settings
    )
    environment.pop("KOPPEL_OWNER_DATABASE_URL", None)
    if owner:
        environment["KOPPEL_OWNER_DATABASE_URL"] = addresses.owner_url
    return subprocess.run(
        [sys.executable, "-m", *words], env=environment, cwd=home, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("command", "owner"),
    [
        ("koppel.cli migrate", True),
        ("koppel.cli migrate", False),
        ("django migrate --database owner", True),
        ("django migrate --database owner organisations", True),
    ],
)
def test_a_database_of_before_is_refused_and_stays_as_it_is(
    before: Addresses, tmp_path: Path, command: str, owner: bool
) -> None:
    was = contents(before)
    done = run(before, tmp_path, *command.split(), owner=owner)
    assert done.returncode != 0
    assert SENTENCE in done.stderr
    assert "Traceback" not in done.stderr
    assert contents(before) == was


def test_check_says_so_too(before: Addresses, tmp_path: Path) -> None:
    done = run(before, tmp_path, "koppel.cli", "check", "--json")
    assert done.returncode == 1
    assert SENTENCE in done.stdout


@pytest.mark.parametrize("command", ["koppel.cli migrate", "koppel.cli check"])
def test_a_database_that_a_newer_koppel_migrated_is_refused_and_stays_as_it_is(
    before: Addresses, tmp_path: Path, command: str
) -> None:
    with psycopg.connect(before.owner_url) as owner:
        owner.execute(
            "INSERT INTO django_migrations (app, name) VALUES ('kit', '0001_initial'), ('sync', '0999_next')"
        )
        owner.execute("DELETE FROM django_migrations WHERE name IN ('0002_sql_readers', '0001_quarantine')")
    was = contents(before)
    done = run(before, tmp_path, *command.split())
    assert done.returncode != 0
    assert "A newer Koppel has migrated this database (sync.0999_next is not known here)" in (
        done.stderr + done.stdout
    )
    assert "Traceback" not in done.stderr
    assert contents(before) == was
