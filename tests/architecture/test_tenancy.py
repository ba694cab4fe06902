"""Organisations are kept apart by PostgreSQL itself: every table of every app, seen as the application role
sees it.
"""

import ast
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from typing import Any

import psycopg
import pytest
from django.apps import apps
from psycopg import sql
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege

from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import set_scope_sql
from koppel.kit.tenancy.models import TenantModel
from koppel.kit.tenancy.privileges import read_only_models
from tests.fixtures.environment import KOPPEL

Connection = psycopg.Connection[tuple[Any, ...]]
OWN_ID, FOREIGN_ID = 1, 2

WITHOUT_ORGANISATION = {
    "audit_head_delivery": "which signed heads the SIEM has, of all organisations; installation scope only",
    "kit_installation": "the number of the installation, which its ids begin with",
    "kit_installation_identity": "what tells the installation from its copies; read before any scope",
    "kit_replacement_request": "a copy of the whole installation that asks to take its place",
    "kit_quarantine": "whether anything may leave the installation; "
    "every process asks before it knows for whom it acts",
    "company_registers_rate_limit": "how often each public register was called, by all together; "
    "it names no company",
    "organisations_organisation": "the organisation itself; its policy compares id",
    "organisations_user": "a person may belong to several organisations; sign-in comes before any scope",
    "connections_rate_limit": "the vendor counts per company and client, for all organisations alike; "
    "installation scope only",
    "organisations_user_session": "a session is the person's, who may switch between organisations; "
    "read by person only",
    "organisations_user_groups": "Django's own, unused",
    "organisations_user_user_permissions": "Django's own, unused",
}
PARENT_FIRST = ("books_entry", "books_entry_line", "books_balance")
FOREIGN_TABLES = ("django_", "auth_", "account_", "mfa_", "procrastinate_")
"""Tables of installed packages. They hold sessions, sign-in and the queue, never books."""

_TABLES = """
SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
       EXISTS (SELECT FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attname = 'organisation_id' AND NOT a.attisdropped)
  FROM pg_class c
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname
"""
_COLUMNS = """
SELECT a.attname, t.typname, CASE WHEN a.atttypmod > 4 THEN a.atttypmod - 4 END
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
     AND a.attname <> 'organisation_id'
"""
_VALUES: dict[str, Any] = {
    "bool": True,
    "bytea": b"x",
    "date": date(2025, 1, 1),
    "float8": 1.0,
    "inet": "127.0.0.1",
    "int2": 1,
    "int4": 1,
    "int8": 1,
    "jsonb": "{}",
    "numeric": 1,
    "text": "x",
    "timestamptz": "2025-01-01T00:00:00Z",
    "uuid": uuid.UUID(int=1),
    "varchar": "x",
    "_text": ["x"],
    "_varchar": ["x"],
    "interval": "1 day",
}


@pytest.fixture
def application(clean_database: None, database_addresses: Addresses) -> Iterator[Connection]:
    """A transaction of the application role that is rolled back."""
    with psycopg.connect(database_addresses.app_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def tenant_tables(application: Connection) -> list[str]:
    """Those that the application writes itself."""
    tables = [
        name
        for name, _secured, _forced, is_tenant in application.execute(_TABLES).fetchall()
        if is_tenant and name not in read_only_models
    ]
    assert len(tables) > 30
    return tables


def test_every_table_with_an_organisation_has_row_security_enabled_and_forced(
    application: Connection,
) -> None:
    rows = [row for row in application.execute(_TABLES).fetchall() if row[3]]
    assert len(rows) > 30
    assert [name for name, secured, forced, _is_tenant in rows if not (secured and forced)] == []


def test_a_partition_is_reached_through_its_table_only(application: Connection) -> None:
    partitions = application.execute(
        "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relispartition "
        "AND relkind = 'r'"
    ).fetchall()
    assert len(partitions) >= 48
    scope(application, OWN_ID)
    for name, secured in partitions:
        assert secured, name
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))
        assert "permission denied" in refusal(application, partial(application.execute, query)), name


def test_a_table_without_organisation_is_a_named_exception(application: Connection) -> None:
    without = {
        name
        for name, _secured, _forced, is_tenant in application.execute(_TABLES).fetchall()
        if not is_tenant
    }
    assert {name for name in without if not name.startswith(FOREIGN_TABLES)} == set(WITHOUT_ORGANISATION)


def test_an_organisation_sees_only_itself(application: Connection) -> None:
    scope(application, 0)
    insert(application, "organisations_organisation", id=OWN_ID)
    scope(application, FOREIGN_ID)
    assert count(application, "organisations_organisation") == 0


def test_without_a_scope_every_table_denies(application: Connection, tenant_tables: list[str]) -> None:
    accepted = []
    for table in tenant_tables:
        scope(application, OWN_ID)
        with application.transaction(force_rollback=True):
            insert(application, table, organisation_id=OWN_ID)
            scope(application, None)
            for statement in (
                "SELECT count(*) FROM {}",
                "UPDATE {} SET organisation_id = 2",
                "DELETE FROM {}",
            ):
                query = sql.SQL(statement).format(sql.Identifier(table))
                if not refusal(application, partial(application.execute, query)):
                    accepted.append((table, statement))
    assert accepted == []


def test_without_a_scope_nothing_can_be_written(application: Connection, tenant_tables: list[str]) -> None:
    assert tenant_tables
    for table in tenant_tables:
        reason = refusal(application, partial(insert, application, table, organisation_id=OWN_ID))
        assert "no organisation scope" in reason, table


def test_another_organisations_rows_are_neither_seen_nor_written(
    application: Connection, tenant_tables: list[str]
) -> None:
    assert tenant_tables
    for table in tenant_tables:
        with application.transaction(force_rollback=True):
            scope(application, OWN_ID)
            insert(application, table, organisation_id=OWN_ID)
            assert count(application, table) == 1, table
            scope(application, FOREIGN_ID)
            assert count(application, table) == 0, table
            reason = refusal(application, partial(insert, application, table, organisation_id=OWN_ID))
            assert "row-level security" in reason, table


@pytest.mark.parametrize("table", PARENT_FIRST)
def test_rows_belong_to_an_administration_of_their_organisation_and_go_with_it(
    application: Connection, table: str
) -> None:
    scope(application, 0)
    insert(application, table, organisation_id=OWN_ID)
    for change in ("organisation_id = 2", "administration_id = 2"):
        with pytest.raises(ForeignKeyViolation), application.transaction():
            application.execute(f"UPDATE {table} SET {change}".encode())
    with pytest.raises(ForeignKeyViolation), application.transaction():
        insert(application, table, organisation_id=OWN_ID, administration_id=2)
    application.execute("DELETE FROM administrations_administration WHERE id = 1")
    assert count(application, table) == 0


def test_the_audit_log_is_written_by_its_functions_alone(application: Connection) -> None:
    assert {"audit_entry", "audit_link", "audit_chain", "audit_pending_link"} == set(read_only_models)
    scope(application, OWN_ID)
    application.execute("SELECT audit_append(%s, '{\"kind\": \"job\"}', 'x', '', NULL, '', '{}')", [OWN_ID])
    insert(application, "audit_signed_head", organisation_id=OWN_ID)
    changes = ("UPDATE {} SET organisation_id = 1", "DELETE FROM {}", "TRUNCATE {}")
    for table in [*read_only_models, "audit_signed_head"]:
        inserts = ("INSERT INTO {} DEFAULT VALUES",) if table in read_only_models else ()
        for statement in (*changes, *inserts):
            with pytest.raises(InsufficientPrivilege, match="permission denied"), application.transaction():
                application.execute(sql.SQL(statement).format(sql.Identifier(table)))
    application.execute(
        b"SELECT audit_erase_values(e, '{subject_name}') FROM audit_entry e WHERE organisation_id = 2"
    )
    with pytest.raises(InsufficientPrivilege, match="permission denied"), application.transaction():
        application.execute(b"SELECT audit_erase_values(e, '{subject_name}') FROM audit_entry e")
    assert count(application, "audit_entry") == 1
    scope(application, FOREIGN_ID)
    assert [count(application, table) for table in read_only_models] == [0, 0, 0, 0]


@pytest.mark.usefixtures("clean_database")
def test_the_owner_is_under_the_policies_too(database_addresses: Addresses) -> None:
    with psycopg.connect(database_addresses.owner_url) as owner, owner.transaction(force_rollback=True):
        scope(owner, OWN_ID)
        insert(owner, "issues_issue", organisation_id=OWN_ID)
        scope(owner, None)
        with pytest.raises(InsufficientPrivilege), owner.transaction():
            owner.execute("SELECT count(*) FROM issues_issue")


def refusal(connection: Connection, action: Callable[[], object]) -> str:
    """PostgreSQL's words when it refuses, '' when it does not. Afterwards the transaction is as before."""
    try:
        with connection.transaction(force_rollback=True):
            action()
    except InsufficientPrivilege as refused:
        return str(refused)
    return ""


def scope(connection: Connection, organisation_id: int | None) -> None:
    """Scope the rest of the transaction; None takes the scope away."""
    if organisation_id is None:
        connection.execute("SELECT set_config('koppel.organisation', '', true)")
    else:
        connection.execute(*set_scope_sql(organisation_id))


def count(connection: Connection, table: str) -> int:
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return int(row[0])


def insert(connection: Connection, table: str, **column_values: int) -> None:
    """A row with something in every column that needs it.

    Keys are checked at commit only, and we never commit; those that are checked once per statement want their
    parent.
    """
    if table in PARENT_FIRST:
        parent = {"id": 1, "organisation_id": column_values["organisation_id"]}
        exists = "SELECT 1 FROM administrations_administration WHERE id = 1"
        if connection.execute(exists).fetchone() is None:
            insert(connection, "administrations_administration", **parent)
    values: dict[str, Any] = {}
    for name, kind, length_max in connection.execute(_COLUMNS, [table]).fetchall():
        value = _VALUES[kind]
        values[name] = value[:length_max] if isinstance(value, str) and length_max else value
    values |= column_values
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        ),
        list(values.values()),
    )


def test_query_sets_of_an_organisation_start_from_it() -> None:
    """`Model.objects.for_actor(actor)` and `.in_organisation(id)` say whose rows they are first, in one
    way.
    """
    models = {model.__name__ for model in apps.get_models() if issubclass(model, TenantModel)}
    repeated = [
        f"{path.relative_to(KOPPEL)}:{line}"
        for path in sorted(KOPPEL.rglob("*.py"))
        for line in filters_by_organisation(ast.parse(path.read_text()), models)
    ]
    assert repeated == []


@pytest.mark.parametrize(
    "code",
    [
        "Run.objects.filter(organisation_id=1)",
        "Run.objects.get(pk=2, organisation_id=1)",
        "Run.objects.exclude(organisation_id=1)",
        "Run.objects.select_for_update().filter(state='done', organisation_id=1)",
        "tenant = {'organisation_id': 1}; Run.objects.filter(**tenant, pk=2)",
        "Run.objects.filter(**{'organisation_id': 1})",
    ],
)
def test_a_filter_by_organisation_is_found(code: str) -> None:
    assert list(filters_by_organisation(ast.parse(code), {"Run"})) == [1]


@pytest.mark.parametrize(
    "code",
    [
        "Run.objects.in_organisation(1).filter(pk=2)",
        "Run.objects.filter(organisation_id=OuterRef('organisation_id'))",
        "values = {'state': 'done'}; Run.objects.filter(**values)",
        "Entry.objects.filter(organisation_id=1)",
    ],
)
def test_other_filters_are_not(code: str) -> None:
    assert list(filters_by_organisation(ast.parse(code), {"Run"})) == []


def filters_by_organisation(tree: ast.AST, models: set[str]) -> Iterator[int]:
    """Lines of `Model.objects….filter(organisation_id=…)`, also through a mapping, and of `get` and
    `exclude`; not those of a sub-query about the outer row's.
    """
    assignments = [
        node for node in ast.walk(tree) if isinstance(node, ast.Assign) and _has_organisation(node.value)
    ]
    mappings = {ast.unparse(target) for assignment in assignments for target in assignment.targets}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        manager, _dot, method = ast.unparse(node.func).rpartition(".")
        model, _dot, rest = manager.partition(".objects")
        if method not in ("filter", "get", "exclude") or model not in models:
            continue
        if "in_organisation" in rest or "for_actor" in rest:
            continue
        if any(_names_organisation(keyword, mappings) for keyword in node.keywords):
            yield node.lineno


def _names_organisation(keyword: ast.keyword, mappings: set[str]) -> bool:
    if keyword.arg == "organisation_id":
        return "OuterRef" not in ast.unparse(keyword.value)
    return keyword.arg is None and (
        ast.unparse(keyword.value) in mappings or _has_organisation(keyword.value)
    )


def _has_organisation(value: ast.expr) -> bool:
    keys = value.keys if isinstance(value, ast.Dict) else []
    return any(isinstance(key, ast.Constant) and key.value == "organisation_id" for key in keys)
