"""Check whether the audit log is signed, and whether it is as it was signed."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils import timezone

from koppel.audit.chain_reader import list_chains, verify_newest_heads
from koppel.audit.scheduled_verification import VERIFY_EVERY, failed_verifications, newest_verifications
from koppel.audit.signed_heads import oldest_unsigned_at
from koppel.audit.signing_keys import SigningKeys, signing_keys
from koppel.cli.checks.result import CheckFinding, advice

TOPIC = "audit log"
UNSIGNED_MAX = timedelta(hours=2)
"""Heads are signed every hour; one signature may be missed."""
MINUTE = "%Y-%m-%d %H:%M %Z"
VERIFICATION_LATE = timedelta(days=1)
NO_KEY = (
    "No key signs the audit log, so nothing proves later that it is unchanged: set KOPPEL_AUDIT_KEYS to what "
    "`koppel audit generate-key` prints (docs/audit-log.md, The key)."
)


def check_audit_log() -> Iterator[CheckFinding]:
    """Report a missing or unreadable key, entries without a signature, and failed verifications."""
    try:
        keys = signing_keys()
    except ValueError as error:
        yield CheckFinding(TOPIC, False, str(error))
        return
    problems = [*_signatures(keys), *_verifications(keys)]
    yield from problems or [
        CheckFinding(TOPIC, True, "The audit log is signed, and as long as its last signatures say.")
    ]
    yield _last_verification()


def _signatures(keys: SigningKeys) -> Iterator[CheckFinding]:
    if keys.current is None:
        yield advice(TOPIC, NO_KEY)
        return
    oldest = oldest_unsigned_at()
    if oldest is not None and timezone.now() - oldest > UNSIGNED_MAX:
        yield advice(
            TOPIC,
            f"Entries since {oldest:{MINUTE}} are not signed yet, and heads are signed every hour: "
            "are workers running? Look for audit_heads in their log.",
        )


def _verifications(keys: SigningKeys) -> Iterator[CheckFinding]:
    if findings := verify_newest_heads(keys):
        problems = ", ".join(sorted({f"{finding.code.value} (log {finding.chain})" for finding in findings}))
        yield CheckFinding(
            TOPIC,
            False,
            f"The audit log is not as it was signed: {problems}. Run `koppel audit verify`; "
            "docs/audit-log.md says what each finding means.",
        )
    for verification in failed_verifications():
        yield CheckFinding(
            TOPIC,
            False,
            f"The verification of {verification.at:{MINUTE}} failed with {verification.findings} findings. "
            "`koppel audit verify` shows them; a later one without findings clears this.",
        )


def _last_verification() -> CheckFinding:
    """Name the newest verification, and the number of logs whose weekly one is late."""
    verifications, chains = newest_verifications(), list_chains()
    oldest_allowed = timezone.now() - VERIFY_EVERY - VERIFICATION_LATE
    late = [one for one in verifications.values() if one.at < oldest_allowed]
    verified = len(chains & verifications.keys())
    text = f"Workers verify each log weekly; {verified} of {len(chains)} were verified."
    if verifications:
        text += f" The last verification was at {max(one.at for one in verifications.values()):{MINUTE}}."
    if late:
        return advice(TOPIC, f"{text} {len(late)} are late: are workers running?")
    return CheckFinding(TOPIC, True, text)
