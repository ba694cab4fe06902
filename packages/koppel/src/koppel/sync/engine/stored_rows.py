"""Normalises the stored rows of an administration again, without calls to the vendor.

Each batch is a transaction that holds the administration's runs. Rows carry their version, and the state of a
resource has the last key, so a killed process continues with the rows that are left.
"""

import time
from collections.abc import Callable, Collection
from itertools import groupby

import structlog
from django.db import connection as django_connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.audit.services import KOPPEL_ACTOR, AuditActor, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.storage.renormalisation import RenormalisedBatch, count_outdated_rows, renormalise_batch
from koppel.books.storage.writer import WriteContext
from koppel.connector.registry import connector
from koppel.connector.rows import ROWS
from koppel.kit.clock import now
from koppel.kit.database.outage import is_outage
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor, Permission
from koppel.sync.audit_actions import SyncAction
from koppel.sync.checks import reconcile_check_issues
from koppel.sync.engine.normalisation_states import list_waiting_resources, lock_state
from koppel.sync.errors import SyncNotAllowed
from koppel.sync.models import OPEN_STATES, NormalisationState, RunState

TURN_SECONDS = 20.0
"""After this time a turn of an organisation ends, so that the others get theirs."""
log = structlog.get_logger(__name__)
_SQL = load_statements("koppel.sync")


def outdated_rows(administration: Administration) -> dict[str, int]:
    """Return the number of rows of another version by resource, in the caller's transaction."""
    versions = connector(administration.connection.connector).normalisation_versions
    counts = {
        resource: count_outdated_rows(administration.pk, resource, versions[resource]) for resource in ROWS
    }
    return {resource: count for resource, count in counts.items() if count}


def renormalise(
    actor: Actor, administration: Administration, report: Callable[[str, int], None]
) -> tuple[int, int]:
    """Normalise all rows of another version, then check the books; opens its own transactions.

    Calls `report` with the resource and its count so far after each batch. Returns the numbers of rows that
    were written and that this version cannot normalise. Raises `SyncNotAllowed` while a run is under way.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    with organisation_scope(actor.organisation_id):
        _lock_runs(administration)
        _states(administration).delete()
        _audit(administration, actor.audit)
    written = rejected = 0
    for resource in ROWS:
        is_complete, count = False, 0
        while not is_complete:
            with organisation_scope(actor.organisation_id):
                batch, is_complete = _renormalise_next(administration, resource)
            count, rejected = count + batch.renormalised, rejected + batch.rejected
            if batch.renormalised:
                report(resource, count)
        written += count
    with organisation_scope(actor.organisation_id):
        _finish(administration)
    return written, rejected


def renormalise_turn(organisation_id: int) -> bool:
    """Normalise waiting rows of an organisation for `TURN_SECONDS`; opens its own transactions.

    Leaves out administrations of which a run is under way, or that fail; later turns try them again. Returns
    whether the turn ended before the rest was tried.
    """
    ends_at = time.monotonic() + TURN_SECONDS
    with organisation_scope(organisation_id):
        waiting = list_waiting_resources()
    for administration_id, group in groupby(waiting, lambda each: each.administration_id):
        resources = [each.resource for each in group]
        try:
            if not _renormalise_waiting(organisation_id, administration_id, resources, ends_at):
                return True
        except SyncNotAllowed:
            continue
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("renormalisation_failed", administration=administration_id)
    return False


def _renormalise_waiting(
    organisation_id: int, administration_id: int, resources: Collection[str], ends_at: float
) -> bool:
    """Return whether all these resources are complete before the turn ends."""
    remaining = list(resources)
    while remaining:
        if time.monotonic() >= ends_at:
            return False
        with organisation_scope(organisation_id):
            administration = (
                Administration.objects.in_organisation(organisation_id)
                .select_related("connection")
                .filter(pk=administration_id)
                .first()
            )
            if administration is None:  # erased meanwhile
                return True
            if _renormalise_waiting_batch(administration, remaining[0], is_last=len(remaining) == 1):
                remaining.pop(0)
    return True


def _renormalise_waiting_batch(administration: Administration, resource: str, *, is_last: bool) -> bool:
    """Normalise a batch in the caller's transaction. Return whether the resource is complete.

    The first rows that are written are audited.
    """
    was_changed = _states(administration).filter(renormalised__gt=0).exists()
    batch, is_complete = _renormalise_next(administration, resource)
    if batch.renormalised and not was_changed:
        _audit(administration, KOPPEL_ACTOR)
    if is_complete and is_last and (was_changed or batch.renormalised):
        _finish(administration)
    return is_complete


def _finish(administration: Administration) -> None:
    """Check the books after the last batch."""
    _states(administration).update(renormalised=0)
    reconcile_check_issues(administration.organisation_id, administration.pk)


def _states(administration: Administration) -> QuerySet[NormalisationState]:
    states = NormalisationState.objects.in_organisation(administration.organisation_id)
    return states.filter(administration=administration)


def _renormalise_next(administration: Administration, resource: str) -> tuple[RenormalisedBatch, bool]:
    """Normalise the next batch of a resource and save its state, in the caller's transaction.

    Raises `SyncNotAllowed` while a run is under way.
    """
    _lock_runs(administration)
    context = _write_context(administration)
    state = lock_state(administration, resource, context.versions[resource])
    batch = renormalise_batch(context, resource, state.last_key)
    state.renormalised += batch.renormalised
    state.rejected += batch.rejected
    state.last_key, state.is_complete = batch.last_key, not batch.last_key
    state.save()
    return batch, state.is_complete


def _write_context(administration: Administration) -> WriteContext:
    source = connector(administration.connection.connector)
    return WriteContext(
        organisation_id=administration.organisation_id,
        administration_id=administration.pk,
        at=now(),
        normalise=source.normalise,
        versions=source.normalisation_versions,
    )


def _lock_runs(administration: Administration) -> None:
    """Lock the open runs until commit. Raises `SyncNotAllowed` when one is under way."""
    with django_connection.cursor() as cursor:
        cursor.execute(
            _SQL["lock_open_runs"],
            {
                "organisation": administration.organisation_id,
                "administration": administration.pk,
                "open": list(OPEN_STATES),
            },
        )
        if any(state == RunState.RUNNING for (state,) in cursor.fetchall()):
            raise SyncNotAllowed(_("A sync of %(name)s is under way.") % {"name": administration.name})


def _audit(administration: Administration, actor: AuditActor) -> None:
    """Add the audit entry at the latest with the first batch, so no killed process leaves changes without."""
    add_audit_entry(
        administration.organisation_id,
        actor,
        SyncAction.BOOKS_RENORMALISED,
        subject=Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name),
    )
