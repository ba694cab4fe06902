"""What the application role may do, when the process that migrated died before or while it granted it."""

from collections.abc import Iterator

import psycopg
import pytest

from koppel.cli import preparation
from koppel.kit.embedded_postgres import Addresses
from koppel.kit.tenancy import grants

pytestmark = pytest.mark.usefixtures("clean_database")


@pytest.fixture(autouse=True)
def _granted_again(clean_database: None) -> Iterator[None]:
    yield
    grants.APPEND_ONLY = ("audit_entry",)
    grants.grant_to_application_role("owner")


def may(addresses: Addresses, table: str, right: str) -> bool:
    with psycopg.connect(addresses.app_url) as application:
        row = application.execute("SELECT has_table_privilege(%s, %s)", [table, right]).fetchone()
    return row == (True,)


def test_a_migration_that_was_killed_before_it_granted_is_made_up_for_by_the_next(
    database_addresses: Addresses,
) -> None:
    with psycopg.connect(database_addresses.owner_url) as owner:
        owner.execute("REVOKE ALL ON onboarding_flow, audit_entry FROM koppel_app")
        owner.execute("REVOKE ALL ON FUNCTION audit_forget(bigint, bigint) FROM koppel_app")
    preparation.migrate()
    assert may(database_addresses, "onboarding_flow", "UPDATE")
    assert may(database_addresses, "audit_entry", "INSERT")
    assert not may(database_addresses, "audit_entry", "UPDATE")
    with psycopg.connect(database_addresses.app_url) as application:
        answer = application.execute("SELECT has_function_privilege('audit_forget(bigint, bigint)', 'EXECUTE')")
        assert answer.fetchone() == (True,)


def test_a_process_that_dies_while_it_grants_leaves_the_trail_closed(database_addresses: Addresses) -> None:
    class Killed:
        def __iter__(self) -> Iterator[str]:
            raise SystemError("killed")

    grants.APPEND_ONLY = Killed()  # type: ignore[assignment]
    with pytest.raises(SystemError):
        grants.grant_to_application_role("owner")
    assert not may(database_addresses, "audit_entry", "DELETE")


def test_views_that_a_killed_migration_dropped_are_made_by_the_next(database_addresses: Addresses) -> None:
    """Dropped before the first migration, made after the last: without them no program reads the books by SQL."""
    with psycopg.connect(database_addresses.owner_url) as owner:
        owner.execute("DROP SCHEMA books CASCADE")
    preparation.migrate()
    with psycopg.connect(database_addresses.owner_url) as owner:
        assert owner.execute("SELECT to_regclass('books.entry_lines') IS NOT NULL").fetchone() == (True,)
