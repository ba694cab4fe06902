"""Nobody rewrites the audit log unseen, not even who owns the database."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from psycopg.errors import InsufficientPrivilege

from koppel.audit.chain import link_pending
from koppel.audit.chain_reader import verify_chains
from koppel.audit.models import AuditEntry, Chain, Link, PendingLink
from koppel.audit.services import actor_scope
from koppel.audit.signed_heads import all_signed_heads, sign_heads
from koppel.audit.signing_keys import SigningKeys, signing_keys
from koppel.kit.database.embedded_postgres import Addresses
from koppel.kit.tenancy import installation_scope, organisation_scope, set_scope_sql
from koppel.organisations.roles import Actor
from tests.audit.factories import Superuser, finding_codes, record_division, record_linked, restore_log_after

APPEND = "SELECT audit_append(%s, %s, 'division.changed', 'division', 1, %s, '{}')"


@pytest.fixture
def admin(actor: Any) -> Actor:
    return actor("administrator", name="Anna")  # type: ignore[no-any-return]


@pytest.fixture
def superuser(clean_database: None, database_addresses: Addresses) -> Iterator[Superuser]:
    with psycopg.connect(database_addresses.superuser_url, autocommit=True) as connection:
        yield connection


def test_a_log_that_was_only_written_verifies(admin: Actor, actor: Any) -> None:
    """In a chain for each organisation: links follow from the salted digests of all values."""
    stranger = actor("administrator")
    record_linked(admin, "Noord", 'Zuid "é" \\ 日本', "West")
    record_linked(stranger, "Elders")
    record_division(admin, "Later", nested={"list": [1, {"x": None}], "empty": {}}, number=1.50, nothing=None)
    assert {result.pending for result in verify_chains(signing_keys(), [])} == {0, 1}
    link_pending()
    assert sign_heads(signing_keys()) == 2
    results = verify_chains(signing_keys(), [])
    assert [(result.length, result.entries, result.findings) for result in results] == [
        (4, 4, []),
        (1, 1, []),
    ]
    with installation_scope("test"):
        assert len({bytes(salt) for salt in AuditEntry.objects.values_list("salt", flat=True) if salt}) == 5
        assert not PendingLink.objects.exists()


ATTACKS = {
    "a text changed": (
        "UPDATE audit_entry SET subject_name = 'other' WHERE subject_name = 'Zuid'",
        {"changed"},
    ),
    "a detail changed": (
        """UPDATE audit_entry SET details = jsonb_set(details, '{before,name}', '"x"')
            WHERE subject_name = 'Zuid'""",
        {"changed"},
    ),
    "a detail added": (
        """UPDATE audit_entry SET details = details || '{"more": 1}' WHERE subject_name = 'Zuid'""",
        {"changed"},
    ),
    "another actor": ("UPDATE audit_entry SET actor_id = 1 WHERE subject_name = 'Zuid'", {"changed"}),
    "NULL for nothing": ("UPDATE audit_entry SET actor_id = NULL WHERE subject_name = 'Zuid'", {"changed"}),
    "another time": (
        "UPDATE audit_entry SET at = at - interval '1 microsecond' WHERE subject_name = 'Zuid'",
        {"changed"},
    ),
    "another salt": ("UPDATE audit_entry SET salt = 'x' WHERE subject_name = 'Zuid'", {"changed"}),
    "erased by the way": (
        "SELECT audit_erase_values(e, ARRAY['subject_name']) FROM audit_entry e WHERE subject_name = 'Zuid'",
        {"erased_without_record"},
    ),
    "a field that is never erased": (
        """SELECT audit_erase_values(e, ARRAY['actor_id']) FROM audit_entry e WHERE subject_name = 'Zuid';
           UPDATE audit_entry SET actor_id = 1 WHERE salt IS NULL""",
        {"changed", "erased_without_record"},
    ),
    "text put back where it was erased": (
        """SELECT audit_erase_values(e, ARRAY['subject_name']) FROM audit_entry e WHERE subject_name = 'Zuid';
           UPDATE audit_entry SET subject_name = 'Other' WHERE salt IS NULL""",
        {"changed", "erased_without_record"},
    ),
    "an entry deleted": ("DELETE FROM audit_entry WHERE subject_name = 'Zuid'", {"deleted"}),
    "an entry deleted with its link": (
        """WITH gone AS (DELETE FROM audit_entry WHERE subject_name = 'Zuid' RETURNING id)
           DELETE FROM audit_link USING gone WHERE entry_id = gone.id""",
        {"deleted"},
    ),
    "the first deleted, and the rest moved up": (
        """DELETE FROM audit_entry WHERE subject_name = 'Noord';
           DELETE FROM audit_link WHERE position = 1;
           UPDATE audit_link SET position = position - 1; UPDATE audit_chain SET length = length - 1""",
        {"reordered", "truncated"},
    ),
    "an entry inserted": (
        """INSERT INTO audit_entry (id, organisation_id, at, actor_kind, actor_name, ip_address, interface,
                                    action, subject_kind, subject_name, details)
           SELECT 7, organisation_id, now(), 'person', 'E', '', 'web', 'x', '', '', '{}' FROM audit_chain""",
        {"inserted"},
    ),
    "two entries swapped": (
        """UPDATE audit_link SET position = -position;
           UPDATE audit_link SET position = 1 WHERE position = -2;
           UPDATE audit_link SET position = 2 WHERE position = -1;
           UPDATE audit_link SET position = 3 WHERE position = -3""",
        {"reordered"},
    ),
    "the end cut off": (
        "DELETE FROM audit_link WHERE position = 3; DELETE FROM audit_entry WHERE subject_name = 'West'",
        {"truncated"},
    ),
    "the end cut off, and the head with it": (
        """DELETE FROM audit_link WHERE position = 3;
           DELETE FROM audit_entry WHERE subject_name = 'West';
           UPDATE audit_chain SET length = 2, head = (SELECT link FROM audit_link WHERE position = 2)""",
        {"truncated"},
    ),
    "everything deleted but the signed heads": (
        "DELETE FROM audit_link; DELETE FROM audit_entry; DELETE FROM audit_chain",
        {"truncated"},
    ),
    "a signature of another key": (
        "UPDATE audit_signed_head SET signature = signature || 'x'",
        {"signature_invalid"},
    ),
}
REWRITE = """
UPDATE audit_entry SET actor_name = 'Somebody else' WHERE subject_name = 'Zuid';
INSERT INTO audit_pending_link SELECT entry_id, organisation_id, position FROM audit_link;
DELETE FROM audit_link; DELETE FROM audit_chain;
"""
"""The attacker has the chain made anew, which then is consistent."""


def test_every_change_of_a_linked_log_is_found(admin: Actor, superuser: Superuser) -> None:
    record_linked(admin, "Noord", "Zuid", "West")
    sign_heads(signing_keys())
    codes_by_attack = {}
    for name, (statements, _codes) in ATTACKS.items():
        with restore_log_after(superuser):
            scope = set_scope_sql(admin.organisation_id)
            with superuser.transaction():
                superuser.execute(*scope)
                for statement in statements.split(";"):
                    superuser.execute(statement.encode())
            codes_by_attack[name] = finding_codes()
    assert codes_by_attack == {name: codes for name, (_statements, codes) in ATTACKS.items()}
    assert finding_codes() == set()


def test_a_chain_made_anew_is_betrayed_by_heads_that_were_signed(admin: Actor, superuser: Superuser) -> None:
    """Kept elsewhere when the attacker deletes those of the database; not by heads of another key."""
    record_linked(admin, "Noord", "Zuid", "West")
    sign_heads(signing_keys())
    with installation_scope("test"):
        documents = all_signed_heads()
    superuser.execute(REWRITE.encode())
    link_pending()
    assert finding_codes() == {"rewritten"}
    superuser.execute(b"DELETE FROM audit_signed_head")
    assert finding_codes() == set(), "what is not signed elsewhere cannot be told"
    assert finding_codes(*documents) == {"rewritten"}
    superuser.execute(b"DELETE FROM audit_link; DELETE FROM audit_chain; DELETE FROM audit_entry")
    assert finding_codes(*documents) == {"truncated"}
    other_keys = SigningKeys.parse("QkJC" * 10 + "QkI=")
    assert {
        finding.code.value for result in verify_chains(other_keys, documents) for finding in result.findings
    } == {"signature_invalid"}


def test_no_entry_is_linked_before_an_older_transaction_has_ended(
    admin: Actor, database_addresses: Addresses
) -> None:
    """One that wrote earlier, and one that began earlier and writes later: none is skipped or overtaken."""
    organisation_id, who = admin.organisation_id, json.dumps({"kind": "job"})
    with (
        psycopg.connect(database_addresses.app_url) as older,
        psycopg.connect(database_addresses.app_url) as oldest,
    ):
        oldest.execute(b"SELECT pg_current_xact_id()")
        older.execute(*set_scope_sql(organisation_id))
        older.execute(APPEND, [organisation_id, who, "second"])
        record_division(admin, "third")
        assert link_pending() == 0
        older.commit()
        assert link_pending() == 0
        oldest.execute(*set_scope_sql(organisation_id))
        oldest.execute(APPEND, [organisation_id, who, "first"])
        oldest.commit()
    assert link_pending() == 3
    with organisation_scope(organisation_id):
        entries = dict(AuditEntry.objects.values_list("pk", "subject_name"))
        linked = Link.objects.order_by("position").values_list("entry_id", flat=True)
        assert [entries[key] for key in linked] == ["first", "second", "third"]
    assert finding_codes() == set()


def test_entries_of_a_restored_database_are_linked(admin: Actor, superuser: Superuser) -> None:
    """Its transactions had numbers that this server has not reached yet."""
    record_division(admin, "Before the backup")
    superuser.execute(b"UPDATE audit_pending_link SET transaction_id = transaction_id + 1000000000")
    assert link_pending() == 1


def test_the_database_sets_the_time_and_takes_the_actor_from_the_scope(admin: Actor, actor: Any) -> None:
    """A use case that passes somebody else is not believed; a tenant's scope reaches no other chain."""
    colleague = actor("administrator", name="Bram")
    with actor_scope(admin.audit):
        with organisation_scope(admin.organisation_id), django_connection.cursor() as cursor:
            cursor.execute(
                APPEND, [admin.organisation_id, json.dumps({"kind": "person", "id": 7, "name": "Eve"}), "x"]
            )
            cursor.execute(
                APPEND, [admin.organisation_id, json.dumps({"kind": "job", "id": 7, "name": "Eve"}), "y"]
            )
            cursor.execute("SELECT now()")
            transaction_began = cursor.fetchone()[0]
        with organisation_scope(admin.organisation_id):
            person, job = AuditEntry.objects.order_by("pk")
    assert (person.actor_id, person.actor_name, person.interface) == (admin.user_id, "Anna", "web")
    assert (job.actor_kind, job.actor_id, job.actor_name) == ("job", None, "Koppel")
    assert person.at > transaction_began
    with (
        pytest.raises(Exception, match="row-level security") as refused,
        organisation_scope(admin.organisation_id),
        django_connection.cursor() as cursor,
    ):
        cursor.execute(APPEND, [colleague.organisation_id, json.dumps({"kind": "job"}), "z"])
    assert isinstance(refused.value.__cause__, InsufficientPrivilege)


def test_the_head_of_a_chain_is_that_of_its_last_link(admin: Actor) -> None:
    record_linked(admin, "Noord", "Zuid")
    with organisation_scope(admin.organisation_id):
        chain, last = Chain.objects.get(), Link.objects.latest("position")
    assert (chain.length, bytes(chain.head)) == (2, bytes(last.link))
