"""Read whole chains from the database for a verification, each in one snapshot."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from koppel.audit.audit_actions import AuditLogAction
from koppel.audit.chain import GENESIS, chain_scope
from koppel.audit.hooks import erasure_actions, existing_administrations
from koppel.audit.models import Chain, Link
from koppel.audit.signed_heads import newest_signed_heads, signed_heads
from koppel.audit.signing_keys import HeadDocument, SigningKeys
from koppel.audit.verification import (
    ChainResult,
    Finding,
    FindingCode,
    RecordedDeletions,
    linked_entries,
    verify_heads,
    verify_links,
)
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import installation_scope

STATEMENTS = load_statements("koppel.audit")
ROWS_AT_ONCE = 2000
_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


def verify_chains(
    keys: SigningKeys, documents: Sequence[HeadDocument], only: int | None = None
) -> list[ChainResult]:
    """Verify every chain, or only one, against the signed heads of the database and `documents`."""
    by_chain: dict[int, list[HeadDocument]] = {}
    for document in documents:
        by_chain.setdefault(document.head.chain, []).append(document)
    chains = list_chains() | by_chain.keys()
    return [
        _verify_chain(chain, keys, by_chain.get(chain, []))
        for chain in sorted(chains)
        if only is None or chain == only
    ]


def list_chains() -> set[int]:
    """Return the chains of all organisations, and that of the installation."""
    with installation_scope("audit verification"), connection.cursor() as cursor:
        cursor.execute(STATEMENTS["chains"])
        return {int(chain) for (chain,) in cursor.fetchall()}


def verify_newest_heads(keys: SigningKeys) -> list[Finding]:
    """Compare each chain with its last signed head only: a few rows for each, however long the log is."""
    findings: list[Finding] = []
    for document in newest_signed_heads():
        signed = document.head
        with _snapshot(), chain_scope(signed.chain):
            own_head = Chain.objects.filter(organisation_id=signed.chain).first()
            link = Link.objects.filter(organisation_id=signed.chain, position=signed.length).first()
        length, head = (own_head.length, bytes(own_head.head)) if own_head else (0, GENESIS)
        result = ChainResult(signed.chain, length, head)
        result.links = {signed.length: bytes(link.link)} if link else {}
        verify_heads(result, length, head, [document], keys)
        findings += result.findings
    return findings


def _verify_chain(chain: int, keys: SigningKeys, documents: Iterable[HeadDocument]) -> ChainResult:
    with _snapshot(), chain_scope(chain):
        own_head = Chain.objects.filter(organisation_id=chain).first()
        signed = [*documents, *signed_heads(chain)]
        lengths = frozenset(document.head.length for document in signed)
        with connection.chunked_cursor() as cursor:
            cursor.execute(STATEMENTS["linked_entries"], {"organisation_id": chain})
            result = verify_links(chain, linked_entries(_rows(cursor)), _recorded_deletions(chain), lengths)
        _add_unlinked(result)
    length, head = (own_head.length, bytes(own_head.head)) if own_head else (0, GENESIS)
    verify_heads(result, length, head, signed, keys)
    return result


@contextmanager
def _snapshot() -> Iterator[None]:
    """Read one state of the log, while others write it."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_SNAPSHOT)
        yield


def _rows(cursor: CursorWrapper) -> Iterator[tuple[Any, ...]]:
    while fetched := cursor.fetchmany(ROWS_AT_ONCE):
        yield from fetched


def _recorded_deletions(chain: int) -> RecordedDeletions:
    actions = [AuditLogAction.EXPIRED.value, *erasure_actions]
    expiries: list[tuple[int, datetime]] = []
    erasures: list[tuple[int, datetime, int, int]] = []
    for entry, action, at, subject_id, through, company in _fetch(
        "recorded_deletions", chain, actions=actions
    ):
        if action == AuditLogAction.EXPIRED:
            expiries.append((_parse_number(through), at))
        elif subject_id is not None:
            erasures.append((entry, at, subject_id, _parse_number(company)))
    ids = {subject_id for _entry, _at, subject_id, _company in erasures}
    existing = set(existing_administrations(chain, ids)) if ids else set()
    true_erasures = [erasure for erasure in erasures if erasure[2] not in existing]
    return RecordedDeletions(
        expiries,
        {subject_id: at for _entry, at, subject_id, _company in true_erasures},
        {company: at for _entry, at, _subject_id, company in true_erasures},
        frozenset(entry for entry, _at, subject_id, _company in erasures if subject_id in existing),
    )


def _parse_number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else 0


def _add_unlinked(result: ChainResult) -> None:
    """Count entries that wait for their link, and report those that do not and yet have none."""
    for entry, is_pending in _fetch("unlinked_entries", result.chain):
        if is_pending:
            result.pending += 1
        else:
            result.findings.append(Finding(result.chain, FindingCode.INSERTED, entry=entry))
    for (entry,) in _fetch("pending_without_entry", result.chain):
        result.findings.append(Finding(result.chain, FindingCode.DELETED, entry=entry))


def _fetch(statement: str, chain: int, **parameters: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(STATEMENTS[statement], {"organisation_id": chain, **parameters})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
