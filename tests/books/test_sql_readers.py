"""SQL readers read the books of their own organisation, never the tables, whatever they set."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from django.test import override_settings

from koppel.audit.models import AuditEntry
from koppel.books.errors import ReaderRefused
from koppel.books.models import MODELS_BY_RESOURCE
from koppel.books.sql_access import readers
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.errors import NotAllowed
from koppel.organisations.models import User
from koppel.organisations.roles import Actor
from tests.books.factories import Ledger, administration_of


@pytest.fixture
def anna(actor: Any) -> Actor:
    return actor("administrator")  # type: ignore[no-any-return]


@pytest.fixture
def books(anna: Actor, actor: Any) -> dict[str, Ledger]:
    """Anna's firm has an open and a restricted administration; another firm has one too."""
    ledgers = {
        "open": Ledger(administration_of(anna)),
        "restricted": Ledger(administration_of(anna, "Directie B.V.", restricted=True)),
        "theirs": Ledger(administration_of(actor("administrator"), "Andere B.V.")),
    }
    for ledger in ledgers.values():
        ledger.account("1000", "Bank")
        ledger.entry("1", "202601", ("1000", "250.1234", "0"), ("8000", "0", "250.1234"))
    return ledgers


@pytest.fixture
def reader(anna: Actor, books: dict[str, Ledger], database_addresses: Addresses) -> Iterator[str]:
    """The address of a role that Anna made."""
    administrator = database_addresses.superuser_url
    with organisation_scope(anna.organisation_id):
        created = readers.add_reader(anna, "bi", administrator_url=administrator)
    yield created.url.reveal()
    with organisation_scope(anna.organisation_id):
        readers.remove_reader(anna, "bi", administrator_url=administrator)


def run_query(url: str, question: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(question.encode()).fetchall()


def test_a_reader_sees_the_books_of_its_organisation_but_no_restricted_ones(
    reader: str, books: dict[str, Ledger]
) -> None:
    assert run_query(reader, "SELECT administration_id, name FROM books.administrations") == [
        (books["open"].administration.pk, "Bakkerij De Haan B.V.")
    ]
    lines = "SELECT administration_id, account, debit FROM books.entry_lines WHERE debit > 0"
    assert run_query(reader, lines) == [(books["open"].administration.pk, "1000", Decimal("250.1234"))]


def test_the_address_of_a_reader_names_all_hosts_of_the_database(
    anna: Actor, database_addresses: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, administrator = django_connection.settings_dict, database_addresses.superuser_url
    port = settings["PORT"]
    django_connection.close()
    monkeypatch.setitem(settings, "HOST", "127.0.0.1,127.0.0.1")
    monkeypatch.setitem(settings, "PORT", f"9,{port}")
    with organisation_scope(anna.organisation_id):
        url = readers.add_reader(anna, "bi", administrator_url=administrator).url.reveal()
        try:
            assert f"@127.0.0.1:9,127.0.0.1:{port}/" in url
            assert run_query(url, "SELECT count(*) FROM books.administrations") == [(0,)]
        finally:
            readers.remove_reader(anna, "bi", administrator_url=administrator)
    django_connection.close()


@pytest.mark.parametrize("resource", sorted(MODELS_BY_RESOURCE))
def test_every_resource_has_its_view(reader: str, resource: str) -> None:
    rows = run_query(reader, f"SELECT administration_id, external_id, deleted_at FROM books.{resource}")
    assert isinstance(rows, list)


@pytest.mark.parametrize(
    "trick",
    [
        "SET koppel.organisation = '{theirs}'",
        "SELECT set_config('koppel.organisation', '0', false)",
        "SET default_transaction_read_only = off",
        "SET row_security = off",
    ],
)
def test_settings_of_a_reader_do_not_widen_its_scope(
    reader: str, books: dict[str, Ledger], trick: str
) -> None:
    with psycopg.connect(reader, autocommit=True) as connection:
        connection.execute(trick.format(theirs=books["theirs"].administration.organisation_id).encode())
        try:
            row = connection.execute("SELECT count(*) FROM books.accounts").fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return
        assert row == (1,)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM books_account",
        "SELECT * FROM connections_grant",
        "SELECT * FROM koppel_readers.reader",
        "INSERT INTO books.accounts (external_id) VALUES ('x')",
        "UPDATE books.accounts SET name = 'x'",
        "DELETE FROM books.accounts",
        "SET ROLE koppel_owner",
        "SET ROLE koppel_app",
        "CREATE TABLE public.mine (a int)",
        "CREATE FUNCTION books.leak() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    ],
)
def test_a_reader_may_only_read_views(reader: str, statement: str) -> None:
    with psycopg.connect(reader, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(
            (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)
        ):
            connection.execute(statement.encode())


def test_a_reader_cannot_run_functions_of_the_owner(reader: str) -> None:
    question = (
        "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE p.prosecdef AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        " AND has_function_privilege(current_user, p.oid, 'EXECUTE') AND has_schema_privilege(current_user, "
        "n.oid, 'USAGE')"
    )
    assert run_query(reader, question) == [("koppel_reader_organisation",)]


@pytest.mark.parametrize("hidden", ["restricted", "theirs"])
def test_an_expression_that_raises_is_not_evaluated_on_hidden_rows(
    reader: str, books: dict[str, Ledger], hidden: str
) -> None:
    """An expression that raises on a row would tell that the row exists, if it ran before the filter."""
    key = books[hidden].administration.pk
    question = (
        f"SELECT count(*) FROM books.accounts WHERE 1 / (CASE WHEN administration_id = {key} THEN 0 "
        f"ELSE 1 END) = 1"
    )
    assert run_query(reader, question) == [(1,)]


def test_removing_a_reader_ends_its_sessions(
    anna: Actor, books: dict[str, Ledger], database_addresses: Addresses
) -> None:
    administrator = database_addresses.superuser_url
    with organisation_scope(anna.organisation_id):
        url = readers.add_reader(anna, "gone", administrator_url=administrator).url.reveal()
    with psycopg.connect(url, autocommit=True) as open_session:
        with organisation_scope(anna.organisation_id):
            readers.remove_reader(anna, "gone", administrator_url=administrator)
        with pytest.raises(psycopg.OperationalError):
            open_session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


@pytest.mark.parametrize("name", ["", "Drop Table", 'x"; DROP SCHEMA books; --', "1st", "é", "x" * 41])
def test_a_name_that_cannot_be_one_is_refused(anna: Actor, name: str) -> None:
    with (
        organisation_scope(anna.organisation_id),
        pytest.raises(ReaderRefused, match="cannot be a reader's name"),
    ):
        readers.add_reader(anna, name)


def test_an_owner_who_may_not_create_roles_gets_instructions(anna: Actor, books: dict[str, Ledger]) -> None:
    with organisation_scope(anna.organisation_id), pytest.raises(ReaderRefused, match="--administrator-url"):
        readers.add_reader(anna, "bi")
    with (
        organisation_scope(anna.organisation_id),
        override_settings(OWNER_DATABASE_URL=""),
        pytest.raises(ReaderRefused, match="KOPPEL_OWNER_DATABASE_URL is not set"),
    ):
        readers.add_reader(anna, "bi")


def test_only_administrators_make_readers(actor: Any) -> None:
    leader = actor("team_leader")
    with organisation_scope(leader.organisation_id), pytest.raises(NotAllowed):
        readers.add_reader(leader, "bi")


def test_from_the_shell(
    anna: Actor, books: dict[str, Ledger], database_addresses: Addresses, tmp_path: Path
) -> None:
    email = User.objects.get(pk=anna.user_id).email

    def koppel(*words: str) -> Any:
        command = [sys.executable, "-m", "koppel.cli", "sql-readers", *words, "--as", email, "--json"]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    administrator = ("--administrator-url", database_addresses.superuser_url)
    created = koppel("create", "shell", *administrator)
    assert run_query(created["url"], "SELECT count(*) FROM books.entries") == [(1,)]
    assert [one["role"] for one in koppel("list")] == ["koppel_reader_shell"]
    assert koppel("delete", "shell", *administrator) == {"deleted": "koppel_reader_shell"}
    with organisation_scope(anna.organisation_id):
        acts = list(
            AuditEntry.objects.filter(action__startswith="sql_reader")
            .order_by("pk")
            .values_list("action", flat=True)
        )
    assert acts == ["sql_reader.created", "sql_reader.removed"]
