"""Verifies every chain once a week, and finds in the audit log what each verification found."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.utils import timezone

from koppel.audit.audit_actions import AuditLogAction
from koppel.audit.chain_reader import list_chains, verify_chains
from koppel.audit.models import AuditEntry
from koppel.audit.services import KOPPEL_ACTOR, AuditActor, add_audit_entry
from koppel.audit.signing_keys import SigningKeys
from koppel.audit.verification import ChainResult
from koppel.kit.tenancy import INSTALLATION, installation_scope

VERIFY_EVERY = timedelta(days=7)
VERIFY_SECONDS = 60.0
"""Of one hour; after it no other chain is begun. A chain of 100,000 entries takes some seconds."""

KEPT = timedelta(days=60)
"""Older verifications count for nothing."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Verification:
    """A recorded verification of one chain, or of all."""

    at: datetime
    findings: int


def verify_due_chains(keys: SigningKeys) -> int:
    """Verify chains that were not verified for a week, those that waited longest first; return their number.

    Each has an entry in the installation's audit log, and one with findings a line in the log.
    """
    ends_at = time.monotonic() + VERIFY_SECONDS
    count = 0
    for chain in _due_chains():
        if time.monotonic() >= ends_at:
            break
        results = verify_chains(keys, (), chain)
        record_verification(chain, results, KOPPEL_ACTOR)
        for result in results:
            if result.findings:
                codes = sorted({finding.code.value for finding in result.findings})
                log.error("audit_log_broken", chain=chain, findings=len(result.findings), codes=codes)
        count += 1
    return count


def record_verification(only: int | None, results: list[ChainResult], actor: AuditActor) -> None:
    """Add the entry of a verification; `only` names the chain if it was one."""
    details = {"chain": only, "findings": sum(len(result.findings) for result in results)}
    with installation_scope("audit verification recorded"):
        add_audit_entry(INSTALLATION, actor, AuditLogAction.VERIFIED, details=details)


def newest_verifications() -> dict[int, Verification]:
    """Return the newest recorded verification of each chain, as far as it is not older than `KEPT`.

    Read from the audit log itself, where nothing can be changed unnoticed. One of all chains counts for each.
    """
    chains, newest = list_chains(), dict[int, Verification]()
    with installation_scope("audit verification"):
        entries = AuditEntry.objects.filter(
            organisation_id=INSTALLATION, action=AuditLogAction.VERIFIED, at__gt=timezone.now() - KEPT
        )
        for at, details in entries.order_by("-at", "-pk").values_list("at", "details").iterator():
            chain = details.get("chain")
            verification = Verification(at, int(details.get("findings") or 0))
            verified = (chains if chain is None else {int(chain)}) - newest.keys()
            newest |= dict.fromkeys(verified, verification)
            if chains <= newest.keys():
                break
    return newest


def failed_verifications() -> list[Verification]:
    """Return the verifications with findings that no later one of the same chain clears, the oldest first.

    Reads little while there is none.
    """
    with installation_scope("audit verification"):
        has_failed = AuditEntry.objects.filter(
            organisation_id=INSTALLATION,
            action=AuditLogAction.VERIFIED,
            at__gt=timezone.now() - KEPT,
            details__findings__gt=0,
        ).exists()
    failed = {one for one in newest_verifications().values() if one.findings} if has_failed else set()
    return sorted(failed, key=lambda one: one.at)


def _due_chains() -> list[int]:
    verified = newest_verifications()
    newest = timezone.now() - VERIFY_EVERY
    never = sorted(list_chains() - verified.keys())
    return never + sorted(
        (chain for chain, one in verified.items() if one.at < newest), key=lambda chain: verified[chain].at
    )
