"""A SQL reader who shadows names of Koppel's objects still reads only its own organisation.

PostgreSQL lets every role create temporary objects, and up to version 14 objects in `public`, unless the
right is revoked.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from koppel.books.errors import ReaderRefused
from koppel.books.sql_access import readers
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of
from tests.fixtures.stack import wait_until

TEMPORARY = "TEMPORARY ON DATABASE koppel"
CONNECT = "CONNECT ON DATABASE koppel"
SCHEMAS = "CREATE ON DATABASE koppel"
OBJECTS = "CREATE ON SCHEMA public"
LOCKS = "EXECUTE ON FUNCTION pg_advisory_lock(bigint)"
PROGRAMS = "USAGE ON LANGUAGE plpgsql"


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def books(anna: Actor, actor: Any) -> dict[str, Ledger]:
    """Anna's firm and another one have an administration each."""
    ledgers = {
        "ours": Ledger(administration_of(anna)),
        "theirs": Ledger(administration_of(actor("administrator"), "Andere B.V.")),
    }
    for ledger in ledgers.values():
        ledger.account("1000", "Bank")
        ledger.entry("1", "202601", ("1000", "250", "0"), ("8000", "0", "250"))
    return ledgers


@pytest.fixture
def reader(anna: Actor, books: dict[str, Ledger], database_addresses: Addresses) -> Iterator[str]:
    """The address of a role that reads for Anna's firm."""
    superuser = database_addresses.superuser_url
    with organisation_scope(anna.organisation_id):
        reader = readers.add_reader(anna, "bi", administrator_url=superuser)
    yield reader.url.reveal()
    with organisation_scope(anna.organisation_id):
        readers.remove_reader(anna, "bi", administrator_url=superuser)


@pytest.fixture
def everybody_may(database_addresses: Addresses) -> Iterator[Any]:
    """`everybody_may(right, …)`: until the end of the test."""
    granted: list[str] = []

    def grant(*rights: str, to: str = "PUBLIC") -> None:
        with psycopg.connect(database_addresses.superuser_url) as superuser:
            for right in rights:
                superuser.execute(f"GRANT {right} TO {to}".encode())
                granted.append(f"REVOKE {right} FROM {to}")

    yield grant
    with psycopg.connect(database_addresses.superuser_url) as superuser:
        superuser.execute("DROP SCHEMA IF EXISTS mine CASCADE")
        superuser.execute("DROP OWNED BY koppel_reader_bi") if _has_role(superuser) else None
        for statement in granted:
            superuser.execute(statement.encode())


def _has_role(superuser: psycopg.Connection[Any]) -> bool:
    return superuser.execute("SELECT FROM pg_roles WHERE rolname = 'koppel_reader_bi'").fetchone() is not None


SHADOWS = {
    "a type of the same name": "CREATE DOMAIN {schema}.text AS varchar(3)",
    "names": "CREATE DOMAIN {schema}.name AS varchar(3)",
    "a comparison of texts": "CREATE FUNCTION {schema}.starts_with(varchar, text) RETURNS boolean"
    " LANGUAGE sql AS 'SELECT false'",
    "the same for names": "CREATE FUNCTION {schema}.starts_with(name, "
    "text) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
    "rights": "CREATE FUNCTION {schema}.has_table_privilege(name, text, text) RETURNS boolean"
    " LANGUAGE sql AS 'SELECT true'",
    "the list of readers": "CREATE FUNCTION {schema}.koppel_reader_organisation(name) RETURNS bigint"
    " LANGUAGE sql AS 'SELECT 0::bigint'",
    "the list of readers by text": "CREATE FUNCTION {schema}.koppel_reader_organisation(text) RETURNS bigint"
    " LANGUAGE sql AS 'SELECT 0::bigint'",
    "settings": "CREATE FUNCTION {schema}.current_setting(text, "
    "boolean) RETURNS text LANGUAGE sql AS $$SELECT '0'$$",
    "equality": "CREATE FUNCTION {schema}.never(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT true';"
    " CREATE OPERATOR {schema}.= (LEFTARG = name, RIGHTARG = name, FUNCTION = {schema}.never)",
    "the table of readers": "CREATE TABLE {schema}.reader (role name, organisation_id bigint)",
}
PATHS = ("pg_temp, public, pg_catalog", "public, pg_temp", "pg_catalog, public")


@pytest.mark.parametrize("schema", ["pg_temp", "public"])
@pytest.mark.parametrize("shadow", SHADOWS.values(), ids=SHADOWS)
def test_a_reader_who_may_create_objects_reads_no_other_organisation(
    reader: str, books: dict[str, Ledger], everybody_may: Any, shadow: str, schema: str
) -> None:
    everybody_may(TEMPORARY, OBJECTS)
    own_books = books["ours"].administration
    foreign_books = books["theirs"].administration.organisation_id
    with psycopg.connect(reader, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with contextlib.suppress(psycopg.errors.DuplicateFunction):  # one of Koppel's own stands there
            connection.execute(shadow.format(schema=schema).encode())
        for path in PATHS:
            connection.execute(f"SET search_path = {path}".encode())
            for organisation in (0, foreign_books):
                connection.execute(f"SET koppel.organisation = '{organisation}'".encode())
                rows = connection.execute("SELECT administration_id FROM books.administrations").fetchall()
                assert rows == [(own_books.pk,)]
                assert connection.execute("SELECT count(*) FROM books.entries").fetchone() == (1,)


DISTURBANCES = [
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1, 2)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT pg_notify('procrastinate_any_queue_v1', 'x')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_logical_emit_message(false, 'x', 'x')",
    "SELECT pg_current_xact_id()",
    "SELECT txid_current()",
    "DO $$ BEGIN LOOP END LOOP; END $$",
    "CREATE TEMPORARY TABLE copy (line text)",
    "SELECT koppel_reader_organisation('koppel_reader_other')",
    "SELECT * FROM koppel_end_reader_sessions(0, 0, 0)",
    "SET temp_file_limit = -1",
]


def test_a_reader_can_neither_lock_nor_store_nor_send(
    reader: str, books: dict[str, Ledger], database_addresses: Addresses
) -> None:
    with psycopg.connect(database_addresses.owner_url) as owner:
        owner.execute(
            "INSERT INTO koppel_readers.reader VALUES ('koppel_reader_other', %s, now(), 'x')",
            [books["theirs"].administration.organisation_id],
        )
    try:
        with psycopg.connect(reader, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            for statement in DISTURBANCES:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement.encode())
            with ExitStack() as more:
                for _number in range(readers.CONNECTIONS_MAX - 1):
                    more.enter_context(psycopg.connect(reader))
                with pytest.raises(psycopg.OperationalError, match="too many connections"):
                    psycopg.connect(reader)
    finally:
        with psycopg.connect(database_addresses.owner_url) as owner:
            owner.execute("DELETE FROM koppel_readers.reader WHERE role = 'koppel_reader_other'")


def test_sessions_of_readers_end_when_they_last_too_long_or_hold_up_others(
    reader: str, database_addresses: Addresses
) -> None:
    """Whatever time-outs a reader sets for itself; another's session stays."""

    def ended(statement: int, transaction: int, lock: int) -> list[tuple[str, str]]:
        limits = [statement, transaction, lock]
        with psycopg.connect(database_addresses.app_url) as application:
            rows = application.execute("SELECT * FROM koppel_end_reader_sessions(%s, %s, %s)", limits)
            return rows.fetchall()

    def wait_for(*limits: int) -> str:
        sessions: list[tuple[str, str]] = []
        wait_until(lambda: bool(sessions.extend(ended(*limits)) or sessions))
        return sessions[0][1]

    with closing(psycopg.connect(reader)) as reading, ThreadPoolExecutor(2) as threads:
        reading.execute("SET statement_timeout = 0")
        reading.execute("SET idle_in_transaction_session_timeout = 0")
        reading.execute("SELECT count(*) FROM books.entries")
        assert ended(3600, 3600, 3600) == []
        migration = threads.submit(_lock_entries, database_addresses.owner_url)
        assert wait_for(3600, 3600, 0) == "lock"
        migration.result(timeout=60)
    with closing(psycopg.connect(reader)) as reading:
        reading.execute("SELECT 1")
        assert wait_for(3600, 0, 3600) == "transaction"
    with closing(psycopg.connect(reader)) as reading, ThreadPoolExecutor(1) as threads:
        running = threads.submit(reading.execute, "SELECT pg_sleep(60)")
        assert wait_for(0, 3600, 3600) == "statement"
        with pytest.raises(psycopg.OperationalError):
            running.result(timeout=60)


def _lock_entries(owner_url: str) -> None:
    with psycopg.connect(owner_url) as owner:
        owner.execute("LOCK TABLE books_entry IN ACCESS EXCLUSIVE MODE")


def test_a_renamed_reader_reads_nothing(
    reader: str, books: dict[str, Ledger], database_addresses: Addresses
) -> None:
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as superuser:
        superuser.execute("ALTER ROLE koppel_reader_bi RENAME TO reporting")
        try:
            superuser.execute("SET ROLE reporting")
            superuser.execute("SET koppel.organisation = '0'")
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="may read no organisation"):
                superuser.execute("SELECT * FROM books.administrations")
        finally:
            superuser.execute("RESET ROLE")
            superuser.execute("ALTER ROLE reporting RENAME TO koppel_reader_bi")


@pytest.mark.parametrize("right", [TEMPORARY, CONNECT, SCHEMAS, OBJECTS, LOCKS, PROGRAMS])
def test_no_reader_is_created_while_public_has_excess_rights(
    anna: Actor, books: dict[str, Ledger], everybody_may: Any, database_addresses: Addresses, right: str
) -> None:
    everybody_may(right)
    with organisation_scope(anna.organisation_id), pytest.raises(ReaderRefused, match="PUBLIC") as refused:
        readers.add_reader(anna, "bi", administrator_url=database_addresses.superuser_url)
    assert str(refused.value).endswith(".")
    assert "koppel sql-readers superuser-script" in str(refused.value)
    with psycopg.connect(database_addresses.superuser_url) as superuser:
        assert not _has_role(superuser), "Nothing was made."
        superuser.execute(readers.superuser_script().encode())
    with organisation_scope(anna.organisation_id):
        readers.add_reader(anna, "bi", administrator_url=database_addresses.superuser_url)
        readers.remove_reader(anna, "bi", administrator_url=database_addresses.superuser_url)
    with psycopg.connect(database_addresses.app_url) as application:
        application.execute("CREATE TEMPORARY TABLE page (line text)")


def check(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What `koppel check` says about readers, and its exit code's reason."""
    command = [sys.executable, "-m", "koppel.cli", "check", "--json"]
    done = subprocess.run(command, cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return {"readers": [one for one in findings if one["topic"] == "sql readers"], "all": findings}


def test_the_check_reports_excess_rights_of_readers(
    reader: str, books: dict[str, Ledger], everybody_may: Any, tmp_path: Path
) -> None:
    (well,) = check(tmp_path)["readers"]
    assert well["ok"]
    everybody_may(TEMPORARY, OBJECTS)
    (wrong, *_) = check(tmp_path)["readers"]
    assert not wrong["ok"]
    assert "may make temporary tables in the database koppel" in wrong["text"]
    assert "may make objects in the schema public" in wrong["text"]
    assert "koppel sql-readers superuser-script" in wrong["text"]


def test_the_check_names_a_reader_with_more_rights_than_the_others(
    reader: str, books: dict[str, Ledger], everybody_may: Any, tmp_path: Path
) -> None:
    everybody_may(TEMPORARY, to="koppel_reader_bi")
    (wrong,) = check(tmp_path)["readers"]
    assert not wrong["ok"]
    assert "The role koppel_reader_bi may make temporary tables" in wrong["text"]


def test_without_readers_the_check_runs_no_queries(
    anna: Actor, books: dict[str, Ledger], everybody_may: Any, tmp_path: Path
) -> None:
    everybody_may(TEMPORARY, OBJECTS)
    answer = check(tmp_path)
    assert answer["readers"] == []
    assert [one["topic"] for one in answer["all"] if one["topic"] == "migrations" and one["ok"]] == [
        "migrations"
    ]
    assert User.objects.filter(pk=anna.user_id).exists()


def test_the_embedded_server_has_only_one_open_database(reader: str) -> None:
    host = psycopg.conninfo.conninfo_to_dict(reader)
    for name in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(**{**host, "dbname": name})  # type: ignore[arg-type]
