"""Use cases of syncs: request, retry, cancel, and the schedule."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from koppel.administrations.access import administration_for
from koppel.administrations.effective_settings import effective_settings
from koppel.administrations.models import Administration, Status
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.models import ConnectionState
from koppel.connections.queries import reconnect_hint
from koppel.kit import quarantine
from koppel.kit.backoff import Backoff
from koppel.kit.database.locks import LockName, try_lock_until_commit
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.web.sentences import stored_sentence
from koppel.organisations.roles import Actor, Permission
from koppel.sync.audit_actions import SyncAction
from koppel.sync.errors import SyncNotAllowed
from koppel.sync.inputs import SyncInput
from koppel.sync.models import OPEN_STATES, Run, RunReason, RunState, Trigger
from koppel.sync.runs.import_completion import notify_import_finished
from koppel.sync.runs.schedule import is_due, offset_of

IMPORT_BACKOFF = Backoff(base_seconds=15 * 60.0, cap_seconds=24 * 3600.0)
"""The pause after a failed first import, which is then tried again by itself."""
IMPORT_STOPPED = gettext_noop("The import was stopped by %(name)s.")
SYNC_STOPPED = gettext_noop("Stopped by %(name)s.")
SCHEDULABLE_STATUSES = (Status.ACTIVE, Status.BLOCKED, Status.FAILED)


def request_first_runs(actor: Actor, administration_ids: Sequence[int]) -> int:
    """Queue the first sync of imported administrations, in the caller's transaction."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    return _queue_runs(actor.organisation_id, administration_ids, Trigger.IMPORT, actor.name)


def request_run(actor: Actor, administration_id: int, sync: SyncInput = SyncInput()) -> bool:  # noqa: B008 - frozen
    """Queue a sync now. Returns False when a run is open already.

    Raises `NoSuchAdministration`, `Quarantined` and `SyncNotAllowed`.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    quarantine.refuse()
    administration = administration_for(actor, administration_id)
    if administration.status == Status.DEACTIVATED:
        raise SyncNotAllowed(_("This administration is deactivated. Activate it first."))
    if hint := reconnect_hint(administration.connection, administration.remote_company):
        raise SyncNotAllowed(hint)
    if sync.resources is not None:
        _require_synced(administration, sync.resources)
    trigger = Trigger.MANUAL if administration.activated_at else Trigger.IMPORT
    created = _queue_runs(
        actor.organisation_id,
        [administration.pk],
        trigger,
        actor.name,
        full=sync.full,
        resources=sync.resources,
    )
    if created and administration.activated_at is None:
        Administration.objects.in_organisation(administration.organisation_id).filter(
            pk=administration.pk
        ).update(status=Status.QUEUED, status_code="", status_reason="")
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        SyncAction.SYNC_REQUESTED,
        subject=Subject(SubjectKind.ADMINISTRATION, administration.pk, administration.name),
    )
    return created > 0


def _require_synced(administration: Administration, resources: Sequence[str]) -> None:
    """Raise `SyncNotAllowed` unless a first sync succeeded and the settings include all `resources`."""
    if administration.activated_at is None:
        raise SyncNotAllowed(_("The first sync reads all data. You can select data once it is complete."))
    if unsynced_resources := sorted(set(resources) - set(effective_settings(administration).resources)):
        message = _("Not synced here: %(names)s. See the settings of this administration.")
        raise SyncNotAllowed(message % {"names": ", ".join(unsynced_resources)})


def request_runs(actor: Actor, administration_ids: Sequence[int]) -> int:
    """Queue runs for those administrations without an open one. Returns the number of runs.

    Does not check whether they can be synced; `plan_sync` does.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administrations = Administration.objects.for_actor(actor).filter(pk__in=list(administration_ids))
    return _queue_by_activation(actor.organisation_id, administrations, actor.name, later=Trigger.MANUAL)


def retry_failed(
    actor: Actor, administration_ids: Sequence[int] | None = None
) -> list[tuple[int, str, bool]]:
    """Queue failed and blocked administrations again: these, or all of the organisation. In scope.

    Returns the id and name of each, and whether a run was queued: not where a person must sign in first.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    quarantine.refuse()
    administrations = Administration.objects.visible_to(actor).filter(
        status__in=(Status.FAILED, Status.BLOCKED)
    )
    if administration_ids is not None:
        administrations = administrations.filter(pk__in=list(administration_ids))
    failed = list(administrations.order_by("name", "pk"))
    return [(one.pk, one.name, _try_request(actor, one.pk)) for one in failed]


def _try_request(actor: Actor, administration_id: int) -> bool:
    try:
        return request_run(actor, administration_id)
    except SyncNotAllowed:
        return False


def cancel_run(actor: Actor, administration_id: int) -> bool:
    """Cancel the open run after its current page; committed pages are kept.

    Returns False when no run is open. A cancelled first import becomes failed, with the person who cancelled
    it as the reason, and can be retried.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = administration_for(actor, administration_id)
    stopped = (
        Run.objects.in_organisation(administration.organisation_id)
        .filter(administration=administration, state__in=OPEN_STATES)
        .update(
            state=RunState.CANCELLED,
            finished_at=timezone.now(),
            reason_code=RunReason.CANCELLED,
            reason=stored_sentence(SYNC_STOPPED, name=actor.name),
        )
    )
    if not stopped:
        return False
    if administration.activated_at is None:
        message = stored_sentence(IMPORT_STOPPED, name=actor.name)
        Administration.objects.in_organisation(administration.organisation_id).filter(
            pk=administration.pk
        ).update(status=Status.FAILED, status_code=RunReason.CANCELLED, status_reason=message)
        notify_import_finished(administration.organisation_id, administration.pk)
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk, administration.name)
    add_audit_entry(actor.organisation_id, actor.audit, SyncAction.SYNC_CANCELLED, subject=subject)
    return True


def request_runs_after_reconnect(actor: Actor, connection_id: int) -> int:
    """Queue runs after a reconnect: imports continue.

    Other administrations catch up on their schedule.
    """
    administrations = Administration.objects.for_actor(actor).filter(connection_id=connection_id)
    waiting = administrations.exclude(status=Status.DEACTIVATED)
    return _queue_by_activation(actor.organisation_id, waiting, actor.name, later=Trigger.SCHEDULE)


def request_runs_after_confirmation(
    organisation_id: int, administration_ids: Sequence[int], requested_by: str
) -> int:
    """Queue runs for companies whose identity was confirmed. Returns the number of runs.

    A first import continues; other administrations are read in full, because anything may have changed.
    """
    administrations = Administration.objects.in_organisation(organisation_id).filter(
        pk__in=list(administration_ids)
    )
    waiting = administrations.exclude(status=Status.DEACTIVATED)
    later = Trigger.MANUAL if requested_by else Trigger.SCHEDULE
    return _queue_by_activation(organisation_id, waiting, requested_by, later=later, full=True)


def request_full_read(organisation_id: int, administration_id: int) -> bool:
    """Queue a full read, which also finds deleted records. Returns False when a run is open already."""
    return _queue_runs(organisation_id, [administration_id], Trigger.SCHEDULE, "", full=True) > 0


def request_due_runs() -> int:
    """Queue one run for each administration that is due. Returns the number of runs.

    One worker at a time: a second one finds the lock taken and returns. The lock ends with the transaction,
    so a killed scheduler leaves nothing behind. Administrations of a connection that does not work are
    skipped. In quarantine nothing is scheduled; missed runs are caught up later.
    """
    if quarantine.current() is not None:
        return 0
    with installation_scope("schedule"):
        if not try_lock_until_commit(LockName.SCHEDULE):
            return 0
        due: dict[int, list[int]] = {}
        at, zone = timezone.now(), timezone.get_default_timezone()
        for administration in _schedulable_administrations().iterator(chunk_size=2000):
            if is_due(
                effective_settings(administration).schedule,
                administration.last_run_at,
                at,
                offset_of(administration.pk),
                zone,
            ):
                due.setdefault(administration.organisation_id, []).append(administration.pk)
        for organisation_id, ids in due.items():
            with organisation_scope(organisation_id):
                _queue_runs(organisation_id, ids, Trigger.SCHEDULE, "")
        retried = _retry_first_imports(at)
    return sum(map(len, due.values())) + retried


def _retry_first_imports(at: datetime) -> int:
    """Queue failed first imports again whose pause is over; it grows with each failure. Returns the number of
    runs.

    One that a person stopped is not retried.
    """
    due: dict[int, list[int]] = {}
    failed = _on_working_connections(Administration.objects.filter(status=Status.FAILED, activated_at=None))
    newest = Run.objects.filter(administration_id=OuterRef("pk")).order_by("-created_at")
    failed = failed.exclude(status_code=RunReason.CANCELLED).annotate(
        last_finished_at=Subquery(newest.values("finished_at")[:1]), run_count=Count("runs")
    )
    for administration in failed.iterator(chunk_size=2000):
        pause = timedelta(seconds=IMPORT_BACKOFF.seconds(administration.run_count - 1))
        if administration.last_finished_at and administration.last_finished_at + pause <= at:
            due.setdefault(administration.organisation_id, []).append(administration.pk)
    for organisation_id, ids in due.items():
        with organisation_scope(organisation_id):
            administrations = Administration.objects.in_organisation(organisation_id).filter(pk__in=ids)
            _queue_by_activation(organisation_id, administrations, "", later=Trigger.SCHEDULE)
    return sum(map(len, due.values()))


def _schedulable_administrations() -> "QuerySet[Any]":
    """Return fully imported administrations on a working connection without an open run. One query.

    `last_run_at` is that of the newest run that was not restricted to some resources.
    """
    runs = Run.objects.filter(administration_id=OuterRef("pk"))
    complete_runs = runs.filter(resources__isnull=True)
    imported = Administration.objects.filter(status__in=SCHEDULABLE_STATUSES, activated_at__isnull=False)
    last_run = Subquery(complete_runs.order_by("-created_at").values("created_at")[:1])
    schedulable: QuerySet[Any] = _on_working_connections(imported).annotate(last_run_at=last_run)
    return schedulable.select_related("template", "organisation")


def _on_working_connections(administrations: "QuerySet[Administration]") -> "QuerySet[Any]":
    """Return those whose connection and consent work, without an open run."""
    open_runs = Run.objects.filter(administration_id=OuterRef("pk"), state__in=OPEN_STATES)
    working: QuerySet[Any] = (
        administrations.filter(connection__state__in=[ConnectionState.ACTIVE, ConnectionState.DEGRADED])
        .filter(remote_company__grant__invalid_since=None)
        .exclude(Exists(open_runs))
    )
    return working


def _queue_by_activation(
    organisation_id: int,
    administrations: "QuerySet[Administration]",
    requested_by: str,
    *,
    later: Trigger,
    full: bool = False,
) -> int:
    """Queue the first sync of administrations that were never read in full, and a later one of the others.

    `later` and `full` are the trigger and the extent of a later sync. Returns the number of runs.
    """
    new_ids = list(administrations.filter(activated_at=None).values_list("pk", flat=True))
    activated_ids = list(administrations.exclude(activated_at=None).values_list("pk", flat=True))
    administrations.filter(pk__in=new_ids).update(status=Status.QUEUED, status_code="", status_reason="")
    created = _queue_runs(organisation_id, new_ids, Trigger.IMPORT, requested_by)
    # A scheduled run makes up for the schedule: no person requested it.
    later_requested_by = "" if later == Trigger.SCHEDULE else requested_by
    return created + _queue_runs(organisation_id, activated_ids, later, later_requested_by, full=full)


def _queue_runs(
    organisation_id: int,
    ids: Sequence[int],
    trigger: Trigger,
    requested_by: str,
    *,
    full: bool = False,
    resources: Sequence[str] | None = None,
) -> int:
    """Queue runs and return their number.

    A constraint of the database skips administrations with an open run. The trigger `announce` on `sync_run`
    notifies the workers.
    """
    before = timezone.now()
    Run.objects.bulk_create(
        [
            Run(
                organisation_id=organisation_id,
                administration_id=administration_id,
                trigger=trigger,
                requested_by=requested_by,
                full=full,
                resources=list(resources) if resources else None,
            )
            for administration_id in ids
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    created = Run.objects.in_organisation(organisation_id).filter(
        administration_id__in=ids, created_at__gte=before
    )
    return created.count()
