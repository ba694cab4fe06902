"""Jobs of the audit log: sign the heads of its chains, verify chains, close windows of repeated actions."""

from functools import partial

import structlog
from django.conf import settings
from django.db import close_old_connections
from procrastinate.contrib.django import app

from koppel.audit.occurrences import close_windows
from koppel.audit.scheduled_verification import verify_due_chains
from koppel.audit.siem import NotDelivered, deliver
from koppel.audit.signed_heads import mark_delivered, sign_heads, undelivered_heads
from koppel.audit.signing_keys import signing_keys
from koppel.kit import quarantine
from koppel.kit.database.threads import run_in_thread

log = structlog.get_logger(__name__)


@app.periodic(cron="7 * * * *")
@app.task(name="audit.sign_heads", queueing_lock="audit.sign_heads")
async def sign_chain_heads(timestamp: int) -> None:
    """Sign the heads of chains that grew, every hour, and send them to the log and to the SIEM."""
    keys = signing_keys()
    if keys.current is None:
        log.warning("audit_heads_not_signed", reason="KOPPEL_AUDIT_KEYS is not set")
        return
    count = await run_in_thread(partial(sign_heads, keys))
    log.info("audit_heads_signed", count=count)
    await deliver_heads()


@app.periodic(cron="* * * * *")
@app.task(name="audit.close_windows", queueing_lock="audit.close_windows", pass_context=False)
def close_occurrence_windows(timestamp: int) -> None:
    """Record how often actions were repeated whose window is over, every minute."""
    close_windows()


@app.periodic(cron="41 * * * *")
@app.task(name="audit.verify_chains", queueing_lock="audit.verify_chains", priority=-10, pass_context=False)
def verify_chains(timestamp: int) -> None:
    """Verify, every hour for a minute, the chains whose week is over."""
    close_old_connections()
    count = verify_due_chains(signing_keys())
    log.info("audit_chains_verified", count=count)


async def deliver_heads() -> None:
    """Send the signed heads that the SIEM does not have yet; what fails is sent again in an hour."""
    if not settings.AUDIT_SIEM_URL or await quarantine.current_async() is not None:
        return
    while rows := await run_in_thread(undelivered_heads):
        try:
            await deliver(settings.AUDIT_SIEM_URL, [document for _id, document in rows])
        except NotDelivered as error:
            log.error("audit_heads_not_delivered", reason=str(error), count=len(rows))
            return
        last = rows[-1][0]
        await run_in_thread(partial(mark_delivered, last))
