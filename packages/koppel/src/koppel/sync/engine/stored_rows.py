"""Normalises the stored rows of an administration again, without calls to the vendor.

Each batch is a transaction that holds the administration's runs. Rows carry their version, so a repetition
after a killed process continues with those that are left.
"""

from collections.abc import Callable

from django.db import connection as django_connection
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.storage.renormalisation import count_outdated_rows, renormalise_batch
from koppel.books.storage.writer import WriteContext
from koppel.connector.registry import connector
from koppel.connector.rows import ROWS
from koppel.kit.clock import now
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor, Permission
from koppel.sync.audit_actions import SyncAction
from koppel.sync.checks import reconcile_check_issues
from koppel.sync.errors import SyncNotAllowed
from koppel.sync.models import OPEN_STATES, RunState

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
    _audit_start(actor, administration)
    written = rejected = 0
    for resource in ROWS:
        after, count = "", 0
        while True:
            with organisation_scope(actor.organisation_id):
                _lock_runs(administration)
                batch = renormalise_batch(_write_context(administration), resource, after)
            after, count, rejected = batch.last_key, count + batch.renormalised, rejected + batch.rejected
            if batch.renormalised:
                report(resource, count)
            if not after:
                break
        written += count
    with organisation_scope(actor.organisation_id):
        reconcile_check_issues(actor.organisation_id, administration.pk)
    return written, rejected


def _write_context(administration: Administration) -> WriteContext:
    source = connector(administration.connection.connector)
    return WriteContext(
        administration.organisation_id,
        administration.pk,
        now(),
        source.normalise,
        source.normalisation_versions,
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


def _audit_start(actor: Actor, administration: Administration) -> None:
    """Add the audit entry before the first batch, so that a killed process leaves no change without one."""
    with organisation_scope(actor.organisation_id):
        _lock_runs(administration)
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            SyncAction.BOOKS_RENORMALISED,
            subject=Subject(SubjectKind.ADMINISTRATION, administration.pk, administration.name),
        )
