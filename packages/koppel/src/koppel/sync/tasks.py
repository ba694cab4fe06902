"""Jobs of syncs: normalise stored rows again after an upgrade. Runs are no jobs; see `koppel.sync.worker`."""

from collections.abc import Sequence

from django.db import close_old_connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob

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
    """Enqueue the first turn when stored rows may be of another version, and no turn waits or runs."""
    close_old_connections()
    turns = ProcrastinateJob.objects.filter(task_name=RENORMALISE_TASK, status__in=("todo", "doing"))
    if not turns.exists():
        _enqueue_turn(0, is_repeated=False)


@app.task(name=RENORMALISE_TASK, lock=RENORMALISE_TASK, priority=LOW_PRIORITY, retry=RetryAfterOutage())
def renormalise_books(organisation_id: int, is_repeated: bool) -> None:
    """Normalise stored rows of an organisation for some seconds, then enqueue the turn of the next one.

    There is one such job at a time over all workers, so that other jobs never wait behind many.
    `is_repeated`: an earlier organisation of this round needs another round.
    """
    close_old_connections()
    has_more = renormalise_turn(organisation_id)
    _enqueue_turn(organisation_id, is_repeated=is_repeated or has_more)


def next_turn(waiting: Sequence[int], after: int, *, is_repeated: bool) -> tuple[int, bool] | None:
    """Return the organisation after `after` in the round, and whether the round is repeated.

    After the last one the next round begins if it is to be repeated. None: the rounds are over.
    """
    if later := [organisation_id for organisation_id in waiting if organisation_id > after]:
        return min(later), is_repeated
    return (min(waiting), False) if waiting and is_repeated else None


def _enqueue_turn(after: int, *, is_repeated: bool) -> None:
    with installation_scope("stored rows of other versions"):
        waiting = sorted({each.organisation_id for each in list_waiting_resources()})
        if (turn := next_turn(waiting, after, is_repeated=is_repeated)) is None:
            return
        arguments = {"organisation_id": turn[0], "is_repeated": turn[1]}
        enqueue_once(RENORMALISE_TASK, arguments, queueing_lock=RENORMALISE_TASK)
