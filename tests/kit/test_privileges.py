"""The rights of the application role, also after a migration was killed while granting them."""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import psycopg
import pytest

from koppel.cli import preparation
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import privileges


class Killed(dict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        raise SystemError("killed")


pytestmark = pytest.mark.usefixtures("clean_database")


@pytest.fixture(autouse=True)
def _granted_again(clean_database: None) -> Iterator[None]:
    yield
    privileges.grant_to_application_role("owner")


def has_privilege(addresses: Addresses, table: str, right: str) -> bool:
    with psycopg.connect(addresses.app_url) as application:
        row = application.execute("SELECT has_table_privilege(%s, %s)", [table, right]).fetchone()
    return row == (True,)


def test_the_next_migration_grants_what_a_killed_one_did_not(
    database_addresses: Addresses,
) -> None:
    with psycopg.connect(database_addresses.owner_url) as owner:
        owner.execute("REVOKE ALL ON onboarding_flow, audit_entry FROM koppel_app")
        owner.execute("REVOKE ALL ON FUNCTION audit_forget(bigint, bigint) FROM koppel_app")
    preparation.migrate()
    assert has_privilege(database_addresses, "onboarding_flow", "UPDATE")
    assert has_privilege(database_addresses, "audit_entry", "SELECT")
    assert not has_privilege(database_addresses, "audit_entry", "INSERT")
    assert not has_privilege(database_addresses, "audit_entry", "UPDATE")
    with psycopg.connect(database_addresses.app_url) as application:
        answer = application.execute(
            "SELECT has_function_privilege('audit_forget(bigint, bigint)', 'EXECUTE')"
        )
        assert answer.fetchone() == (True,)


def test_a_process_killed_while_granting_leaves_the_audit_log_append_only(
    database_addresses: Addresses,
) -> None:
    with patch.object(privileges.read_only_models, "_values", Killed()), pytest.raises(SystemError):
        privileges.grant_to_application_role("owner")
    assert not has_privilege(database_addresses, "audit_entry", "DELETE")


def test_views_that_a_killed_migration_dropped_are_made_by_the_next(database_addresses: Addresses) -> None:
    """Dropped before the first migration, made after the last: without them no program reads the books by
    SQL.
    """
    with psycopg.connect(database_addresses.owner_url) as owner:
        owner.execute("DROP SCHEMA books CASCADE")
    preparation.migrate()
    with psycopg.connect(database_addresses.owner_url) as owner:
        assert owner.execute("SELECT to_regclass('books.entry_lines') IS NOT NULL").fetchone() == (True,)


_FUNCTIONS = """
SELECT p.oid::regprocedure::text, p.proname,
       (SELECT substr(setting, 13) FROM unnest(p.proconfig) setting WHERE setting LIKE 'search_path=%'),
       p.prosecdef OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgfoid = p.oid)
         OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_policy'::regclass
           AND d.refclassid = 'pg_proc'::regclass
                    AND d.refobjid = p.oid)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND p.prokind <> 'a'
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
     AND d.deptype = 'e')
"""


def test_every_function_has_a_fixed_search_path(database_addresses: Addresses) -> None:
    with psycopg.connect(database_addresses.owner_url) as owner:
        functions = owner.execute(_FUNCTIONS).fetchall()
    paths = {signature: path for signature, _name, path, _is_called_for_others in functions}
    own_functions = {signature for signature, name, *_ in functions if not name.startswith("procrastinate_")}
    called_for_others = {
        name for _signature, name, _path, is_called_for_others in functions if is_called_for_others
    }
    assert {
        "koppel_scope",
        "koppel_reader_organisation",
        "audit_forget",
        "sync_run_added",
    } <= called_for_others
    assert {one: paths[one] for one in own_functions if paths[one] != "pg_catalog, pg_temp"} == {}
    assert {one: path for one, path in paths.items() if path not in ("pg_catalog, pg_temp", QUEUE_PATH)} == {}


QUEUE_PATH = "pg_catalog, public, pg_temp"
"""The queue's functions name their tables plainly. No reader reaches those tables."""


def test_an_upgrade_of_the_queue_is_pinned_by_the_next_migration(database_addresses: Addresses) -> None:
    """Or by who comes after the process that died between."""
    with psycopg.connect(database_addresses.owner_url) as owner:
        owner.execute("ALTER FUNCTION procrastinate_unregister_worker_v1(bigint) RESET ALL")
    preparation.migrate()
    test_every_function_has_a_fixed_search_path(database_addresses)
