"""Jobs of administrations. A job that runs again after its worker died finds its work in the tables."""

from collections.abc import Callable

import structlog
from django.db import close_old_connections
from procrastinate import RetryStrategy
from procrastinate.contrib.django import app

from koppel.administrations import bulk
from koppel.administrations.identity import recheck
from koppel.administrations.lifecycle import erasure
from koppel.kit import quarantine
from koppel.kit.database.outage import RetryAfterOutage
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.organisations.models import Organisation

log = structlog.get_logger(__name__)


@app.task(
    name="administrations.process_bulk",
    retry=RetryAfterOutage(RetryStrategy(max_attempts=12, exponential_wait=3)),
)
def process_bulk(organisation_id: int, operation_id: int) -> None:
    """Execute a bulk operation in chunks, each in its own transaction."""
    close_old_connections()
    more = True
    while more:
        with organisation_scope(organisation_id):
            more = bulk.process_chunk(organisation_id, operation_id)


@app.task(name="administrations.erase", retry=RetryAfterOutage())
def erase(organisation_id: int, administration_id: int) -> None:
    """Erase an administration that was withdrawn, or whose retention has ended."""
    close_old_connections()
    more = True
    while more:
        with organisation_scope(organisation_id):
            more = erasure.erase_batch(organisation_id, administration_id)


@app.periodic(cron="*/15 * * * *")
@app.task(name="administrations.process_due_dates", pass_context=False)
def process_due_dates(timestamp: int) -> None:
    """Run planned deactivations and due erasures, and delete stale previews."""
    close_old_connections()
    with installation_scope("dates of administrations"):
        due = erasure.find_due_work()
        bulk.delete_stale_drafts()
    for organisation_id in due.organisations_to_deactivate:
        _run_isolated("deactivate_planned", organisation_id, erasure.deactivate_planned)
    for organisation_id, administration_id in due.to_erase:
        erase.defer(organisation_id=organisation_id, administration_id=administration_id)


@app.periodic(cron="37 * * * *")
@app.task(name="administrations.recheck_numbers", pass_context=False)
def recheck_numbers(timestamp: int) -> None:
    """Ask the registers about some of each organisation's administrations: new numbers, and those not checked
    for a year. Not in quarantine.
    """
    if quarantine.current() is not None:
        return
    close_old_connections()
    with installation_scope("yearly check of company numbers"):
        organisations = list(Organisation.objects.order_by("pk").values_list("pk", flat=True))
    for organisation_id in organisations:
        _run_isolated("recheck_numbers", organisation_id, recheck.recheck_batch)


def _run_isolated(name: str, organisation_id: int, work: Callable[[int], object]) -> None:
    """Run the work in the organisation's scope; an error is logged, so that the next organisations follow."""
    try:
        with organisation_scope(organisation_id):
            work(organisation_id)
    except Exception:
        log.exception("organisation_skipped", task=name, organisation=organisation_id)
