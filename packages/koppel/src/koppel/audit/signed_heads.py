"""Sign the heads of the chains, and hand them to the log and to a SIEM."""

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.db import connection
from django.utils import timezone

from koppel.audit.models import Chain, HeadDelivery, SignedHead
from koppel.audit.signing_keys import Head, HeadDocument, SigningKeys
from koppel.kit.database.replication import wait_for_standby
from koppel.kit.database.sql_files import load_statements
from koppel.kit.models import Installation
from koppel.kit.tenancy import installation_scope

_SQL = load_statements("koppel.audit")
HEADS_AT_ONCE = 500
log = structlog.get_logger(__name__)


def sign_heads(keys: SigningKeys) -> int:
    """Sign the head of every chain that grew since its last signature, and log it. Return the number.

    The log line is what keeps the signature outside the database: it is written even where the row is lost.
    It says nothing that a failover could undo: the commit before it waits for the synchronous standby.
    """
    with installation_scope("audit heads"):
        wait_for_standby()
        installation, now = Installation.objects.get().number, timezone.now()
        documents = [keys.sign(_head(chain, installation, now, keys)) for chain in _grown_chains()]
        for document in documents:
            _store(document)
    for document in documents:
        log_head(document)
    return len(documents)


def signed_heads(chain: int) -> list[HeadDocument]:
    """Return the signed heads of a chain. Within its scope."""
    installation = Installation.objects.get().number
    rows = SignedHead.objects.filter(organisation_id=chain).order_by("length", "pk")
    return [_document(row, installation) for row in rows]


def all_signed_heads() -> list[HeadDocument]:
    """Return the signed heads of all chains, the oldest first."""
    with installation_scope("audit heads"):
        installation = Installation.objects.get().number
        return [_document(row, installation) for row in SignedHead.objects.order_by("pk")]


def newest_signed_heads() -> list[HeadDocument]:
    """Return the last signed head of each chain."""
    with installation_scope("audit heads"):
        installation = Installation.objects.get().number
        rows = SignedHead.objects.order_by("organisation_id", "-length", "-pk").distinct("organisation_id")
        return [_document(row, installation) for row in rows]


def oldest_unsigned_at() -> datetime | None:
    """Return the time of the oldest entry that no signed head covers yet; None when all are covered."""
    with installation_scope("audit heads"), connection.cursor() as cursor:
        cursor.execute(_SQL["oldest_unsigned"])
        at: datetime | None = cursor.fetchone()[0]
    return at


def undelivered_heads() -> list[tuple[int, HeadDocument]]:
    """Return the oldest signed heads that the SIEM does not have yet, with their ids."""
    with installation_scope("audit heads"):
        installation = Installation.objects.get().number
        delivery = HeadDelivery.objects.filter(pk=1).first()
        rows = SignedHead.objects.filter(pk__gt=delivery.delivered_through if delivery else 0).order_by("pk")
        return [(row.pk, _document(row, installation)) for row in rows[:HEADS_AT_ONCE]]


def mark_delivered(through: int) -> None:
    with installation_scope("audit heads"):
        HeadDelivery.objects.update_or_create(pk=1, defaults={"delivered_through": through})


def log_head(document: HeadDocument) -> None:
    facts = document.to_dict()
    log.info(facts.pop("event"), **facts)


def _grown_chains() -> Iterable[Chain]:
    signed: dict[int, int] = {}
    for chain_id, length in (
        SignedHead.objects.order_by("organisation_id", "-length")
        .distinct("organisation_id")
        .values_list("organisation_id", "length")
    ):
        signed[chain_id] = length
    chains = Chain.objects.filter(length__gt=0).order_by("organisation_id")
    return [chain for chain in chains if chain.length > signed.get(chain.organisation_id, 0)]


def _head(chain: Chain, installation: int, now: datetime, keys: SigningKeys) -> Head:
    return Head(
        chain.organisation_id,
        chain.length,
        bytes(chain.head).hex(),
        now.isoformat(),
        installation,
        keys.current_id,
    )


def _store(document: HeadDocument) -> None:
    head = document.head
    SignedHead.objects.create(
        organisation_id=head.chain,
        length=head.length,
        head=bytes.fromhex(head.head),
        signed_at=datetime.fromisoformat(head.signed_at),
        key_id=head.key,
        signature=document.signature,
    )


def _document(row: SignedHead, installation: int) -> HeadDocument:
    head = Head(
        row.organisation_id,
        row.length,
        bytes(row.head).hex(),
        row.signed_at.isoformat(),
        installation,
        row.key_id,
    )
    return HeadDocument(head, bytes(row.signature))
