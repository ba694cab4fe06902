"""Entries of the audit log, and an attacker who owns the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from koppel.audit.chain import link_pending
from koppel.audit.chain_reader import verify_chains
from koppel.audit.services import add_audit_entry
from koppel.audit.signing_keys import HeadDocument, signing_keys
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.audit_actions import DivisionAction
from koppel.organisations.roles import Actor

Superuser = psycopg.Connection[tuple[Any, ...]]
TABLES = ("audit_entry", "audit_pending_link", "audit_link", "audit_chain", "audit_signed_head")


def record_division(actor: Actor, name: str, **details: Any) -> None:
    """An act, committed."""
    with organisation_scope(actor.organisation_id):
        subject = Subject(kind=SubjectKind.DIVISION, id=1, name=name)
        add_audit_entry(
            actor.organisation_id, actor.audit, DivisionAction.CHANGED, subject=subject, details=details
        )


def record_linked(actor: Actor, *names: str) -> None:
    for name in names:
        record_division(actor, name, before={"name": "old"}, after={"name": name})
    link_pending()


def finding_codes(*documents: HeadDocument) -> set[str]:
    """What a verification of all chains finds."""
    return {
        finding.code.value
        for result in verify_chains(signing_keys(), documents)
        for finding in result.findings
    }


@contextmanager
def restore_log_after(superuser: Superuser) -> Iterator[None]:
    """Put the log back, as it was before the block."""
    for table in TABLES:
        superuser.execute(f"CREATE TEMP TABLE kept_{table} AS TABLE {table}".encode())
    yield
    for table in TABLES:
        superuser.execute(f"DELETE FROM {table}".encode())
        superuser.execute(f"INSERT INTO {table} SELECT * FROM kept_{table}".encode())
        superuser.execute(f"DROP TABLE kept_{table}".encode())
