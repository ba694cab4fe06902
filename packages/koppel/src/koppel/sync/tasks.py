"""Jobs of syncs: normalise stored rows again after an upgrade. Runs are no jobs; see `koppel.sync.worker`."""

from django.db import close_old_connections
from procrastinate.contrib.django import app

from koppel.kit.database.outage import RetryAfterOutage
from koppel.kit.jobs import enqueue_once
from koppel.kit.tenancy import installation_scope
from koppel.sync.engine import list_waiting_resources, renormalise_turn

RENORMALISE_TASK = "sync.renormalise_books"
LOW_PRIORITY = -10


@app.periodic(cron="*/5 * * * *")
@app.task(
    name="sync.enqueue_renormalisation", queueing_lock="sync.enqueue_renormalisation", pass_context=False
)
def enqueue_renormalisation(timestamp: int) -> None:
    """Enqueue a turn of each organisation with stored rows that another version may have normalised."""
    close_old_connections()
    with installation_scope("stored rows of other versions"):
        organisations = sorted({each.organisation_id for each in list_waiting_resources()})
        for organisation_id in organisations:
            _enqueue_turn(organisation_id)


@app.task(name=RENORMALISE_TASK, lock=RENORMALISE_TASK, priority=LOW_PRIORITY, retry=RetryAfterOutage())
def renormalise_books(organisation_id: int) -> None:
    """Normalise stored rows of an organisation for some seconds; the rest waits behind the others' turns.

    The lock admits one such job at a time, over all workers.
    """
    close_old_connections()
    if renormalise_turn(organisation_id):
        _enqueue_turn(organisation_id)


def _enqueue_turn(organisation_id: int) -> None:
    enqueue_once(
        RENORMALISE_TASK,
        {"organisation_id": organisation_id},
        queueing_lock=f"{RENORMALISE_TASK} {organisation_id}",
    )
