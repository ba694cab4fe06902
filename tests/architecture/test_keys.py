"""Rows point to rows of their own organisation only, and PostgreSQL sees to it: read from its catalogue."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
import pytest
from django.apps import apps
from django.db import models

from koppel.kit.database.embedded_postgres import Addresses

SHARED_APP = "an app registration may be the installation's, with no organisation, and is then everybody's"
PLAIN_KEYS = {
    "connections_connection.app_id": SHARED_APP,
    "connections_consent_attempt.app_id": SHARED_APP,
    "onboarding_flow.app_id": SHARED_APP,
}
"""Foreign keys between tables of organisations that do not compare the organisation."""
WITHOUT_KEY = {
    "administrations_administration.import_id": "imports belong to a higher app; "
    "an administration outlives its own",
    "administrations_bulk_item.administration_id": "what was done is told when the administration is erased",
    "audit_entry.actor_id": "the trail outlives the member",
    "audit_link.entry_id": "a link outlives its entry",
    "audit_occurrence.subject_id": "of any table, see subject_kind",
    "audit_pending_link.entry_id": "a verification reports what is missing",
    "audit_pending_link.transaction_id": "a number of PostgreSQL",
    "audit_signed_head.key_id": "a key outside the database",
    "audit_entry.subject_id": "of any table, see subject_kind; the trail outlives it",
    "issues_issue.subject_id": "of any table, see subject_kind",
    "notifications_event.subject_id": "of any table, see subject_kind",
    "notifications_webhook_delivery.message_id": "what the receiver is told, no row",
    "sync_change.run_id": "written with each change of a page; its administration is watched, "
    "and runs go with that",
    "sync_checkpoint.read_id": "counts the reads of a resource",
    "sync_rejected_record.run_id": "as with changes",
    "sync_read_key.administration_id": "written by the thousand while a read is under way, "
    "and deleted after it",
    "sync_read_key.read_id": "counts the reads of a resource",
}
"""Columns of ids that no foreign key watches."""
VENDOR_IDS = ("external_id", "client_id", "company_id", "tenant_id")
WITHOUT_ORGANISATION_KEY = {
    "audit_chain": "the log outlives the organisation, and 0 is the installation's",
    "audit_entry": "the trail outlives the organisation",
    "audit_link": "the log outlives the organisation, and 0 is the installation's",
    "audit_occurrence": "0 is the installation's",
    "audit_pending_link": "the log outlives the organisation, and 0 is the installation's",
    "audit_signed_head": "the log outlives the organisation, and 0 is the installation's",
    "sync_read_key": "written by the thousand while a read is under way, and deleted after it",
}
SHARED_ROWS = {"connections_app_registration": SHARED_APP}

_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, confrelid::regclass::text,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(conkey) WITH ORDINALITY k(num, n)
          JOIN pg_attribute a ON a.attrelid = conrelid AND a.attnum = k.num),
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(confkey) WITH ORDINALITY k(num, n)
          JOIN pg_attribute a ON a.attrelid = confrelid AND a.attnum = k.num)
  FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0
"""
_STATEMENT_KEYS = """
SELECT t.tgrelid::regclass::text, p.prosrc
  FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid
 WHERE p.proname = c.relname || '_of_parent' AND NOT c.relispartition AND t.tgenabled = 'O'
   AND t.tgtype & 1 = 0 AND t.tgtype & {event} > 0
"""
INSERT, UPDATE = 4, 16
_COLUMNS = """
SELECT c.relname::text, a.attname::text, a.attnotnull
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""


class Key(NamedTuple):
    """A foreign key, or what stands for one: from `columns` of `table` to `parent_columns` of `parent`."""

    table: str
    parent: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]

    @property
    def compares_organisations(self) -> bool:
        return ("organisation_id", "organisation_id") in zip(self.columns, self.parent_columns, strict=True)


class Catalogue(NamedTuple):
    """What PostgreSQL knows: `columns` of each table with whether they are NOT NULL."""

    keys: list[Key]
    columns: dict[str, dict[str, bool]]

    @property
    def tenant_tables(self) -> list[str]:
        return [table for table, columns in self.columns.items() if "organisation_id" in columns]

    def keys_of(self, table: str) -> Iterator[Key]:
        return (key for key in self.keys if key.table == table)


@pytest.fixture
def catalogue(django_db_setup: None, database_addresses: Addresses) -> Catalogue:
    columns: dict[str, dict[str, bool]] = {}
    with psycopg.connect(database_addresses.owner_url) as connection:
        for table, column, not_null in connection.execute(_COLUMNS).fetchall():
            columns.setdefault(table, {})[column] = not_null
        keys = [Key(*map(_hashable, row)) for row in connection.execute(_FOREIGN_KEYS).fetchall()]
        inserted, updated = (
            dict(connection.execute(_STATEMENT_KEYS.format(event=event).encode()).fetchall())
            for event in (INSERT, UPDATE)
        )
    keys += [
        _key_by_statement(table, source) for table, source in inserted.items() if updated.get(table) == source
    ]
    return Catalogue(keys, columns)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _key_by_statement(table: str, source: str) -> Key:
    match = re.search(
        r"DISTINCT organisation_id, (\w+) AS id .* PERFORM FROM public\.(\w+) parent", source, re.DOTALL
    )
    assert match, source
    column, parent = match.groups()
    return Key(table, parent, ("organisation_id", column), ("organisation_id", "id"))


def test_the_catalogue_is_read(catalogue: Catalogue) -> None:
    assert len(catalogue.tenant_tables) > 30
    assert ("sync_run", "administrations_administration") in {key[:2] for key in catalogue.keys}
    assert ("books_entry", "administrations_administration") in {key[:2] for key in catalogue.keys}


def test_a_key_between_tables_of_organisations_compares_the_organisation(catalogue: Catalogue) -> None:
    tenant_tables = set(catalogue.tenant_tables)
    plain = {
        f"{key.table}.{key.columns[0]}"
        for key in catalogue.keys
        if {key.table, key.parent} <= tenant_tables and not key.compares_organisations
    }
    assert plain == set(PLAIN_KEYS)


def test_each_relation_of_the_models_is_a_key_in_the_database(catalogue: Catalogue) -> None:
    """Django's own keys are left out of the database where both columns are compared; none may be missing
    there.
    """
    watched = {(key.table, key.columns[-1], key.parent) for key in catalogue.keys}
    relations = {
        (model._meta.db_table, field.column, field.related_model._meta.db_table)
        for model in apps.get_models()
        if model.__module__.startswith("koppel.")
        for field in model._meta.local_fields
        if isinstance(field, models.ForeignKey) and not isinstance(field.related_model, str)
    }
    assert len(relations) > 60
    assert relations - watched == set()


def test_a_column_of_ids_is_watched_or_a_named_exception(catalogue: Catalogue) -> None:
    watched = {(key.table, column) for key in catalogue.keys for column in key.columns}
    unwatched = {
        f"{table}.{column}"
        for table in catalogue.tenant_tables
        for column in catalogue.columns[table]
        if column.endswith("_id")
        and column not in (*VENDOR_IDS, "organisation_id")
        and (table, column) not in watched
    }
    assert unwatched == set(WITHOUT_KEY)


def test_every_row_belongs_to_an_organisation_that_exists(catalogue: Catalogue) -> None:
    """By a key to the organisation, or to a parent that cannot be left out and belongs to the same one."""
    missing = {
        table
        for table in catalogue.tenant_tables
        if not any(
            key.parent == "organisations_organisation"
            or (
                key.compares_organisations and all(catalogue.columns[table][column] for column in key.columns)
            )
            for key in catalogue.keys_of(table)
        )
    }
    assert missing == set(WITHOUT_ORGANISATION_KEY)
    nullable = {table for table in catalogue.tenant_tables if not catalogue.columns[table]["organisation_id"]}
    assert nullable == set(SHARED_ROWS)


def test_a_plain_key_is_noticed(catalogue: Catalogue, database_addresses: Addresses) -> None:
    """The test above must see what Django makes when nobody says `db_constraint=False`."""
    with psycopg.connect(database_addresses.owner_url) as connection:
        connection.execute(
            "ALTER TABLE sync_run_resource ADD CONSTRAINT plain FOREIGN KEY (run_id) REFERENCES sync_run "
            "(id) NOT VALID"
        )
        keys = {Key(*map(_hashable, row)) for row in connection.execute(_FOREIGN_KEYS).fetchall()}
        connection.rollback()
    added = keys - set(catalogue.keys)
    assert {(key.table, key.columns, key.compares_organisations) for key in added} == {
        ("sync_run_resource", ("run_id",), False)
    }
