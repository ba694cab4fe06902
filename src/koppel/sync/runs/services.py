"""Use cases of syncing: ask for a run, retry, cancel, and the schedule."""

from collections.abc import Sequence
from typing import Any

from django.db import connection as db
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.effective_settings import in_force
from koppel.administrations.models import Administration, Status
from koppel.administrations.scope import administration_for
from koppel.audit.services import record
from koppel.connections.lifecycle.lifecycle import why_not
from koppel.connections.models import ConnectionState
from koppel.kit import quarantine
from koppel.kit.tenancy import installation_scope, organisation_scope
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import RESOURCES
from koppel.sync.errors import NotPossible
from koppel.sync.models import OPEN_STATES, Run, RunState, Trigger
from koppel.sync.progress.import_completion import import_settled
from koppel.sync.runs.schedule import is_due, spread_of

SCHEDULE_LOCK = 0x5C4EE
READY = (Status.ACTIVE, Status.BLOCKED, Status.FAILED)


def request_first_runs(actor: Actor, administration_ids: Sequence[int]) -> int:
    """Queue the first sync of imported administrations, in the caller's transaction."""
    actor.require(Permission.IMPORT)
    return _request(actor.organisation_id, administration_ids, Trigger.IMPORT, actor.name)


def request_run(
    actor: Actor, administration_id: int, *, full: bool = False, resources: Sequence[str] | None = None
) -> bool:
    """Sync now. False when one is under way already. Raises `NotThere`, `Quarantined`, and `NotPossible` with
    a sentence."""
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    quarantine.refuse()
    one = administration_for(actor, administration_id)
    if one.status == Status.DEACTIVATED:
        raise NotPossible(_("This administration is deactivated. Activate it first."))
    if sentence := why_not(one.connection, one.remote_company):
        raise NotPossible(sentence)
    if resources is not None:
        _require_synced(one, resources)
    trigger = Trigger.PERSON if one.activated_at else Trigger.IMPORT
    made = _request(actor.organisation_id, [one.pk], trigger, actor.name, full=full, resources=resources)
    if made and one.activated_at is None:
        Administration.objects.filter(organisation_id=one.organisation_id, pk=one.pk).update(
            status=Status.QUEUED, status_code="", status_reason=""
        )
    record(
        actor.organisation_id,
        actor.audit,
        "administration.sync_requested",
        subject=("administration", one.pk, one.name),
    )
    return made > 0


def _require_synced(one: Administration, resources: Sequence[str]) -> None:
    """A part can be asked for once all of it was there, and only of what the settings say. None is not everything."""
    if not resources:
        raise UnknownParameter([unknown_value("resource", "", RESOURCES)])
    if one.activated_at is None:
        raise NotPossible(_("The first sync reads everything. Choose single resources once it is complete."))
    if others := sorted(set(resources) - set(in_force(one).resources)):
        sentence = _("Not synced here: %(names)s. The settings of this administration say which resources are.")
        raise NotPossible(sentence % {"names": ", ".join(others)})


def request_runs(actor: Actor, administration_ids: Sequence[int]) -> int:
    """Sync many now, those that can be; who asks has seen which cannot. How many runs were made."""
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    own = Administration.objects.filter(organisation_id=actor.organisation_id, pk__in=list(administration_ids))
    new = list(own.filter(activated_at=None).values_list("pk", flat=True))
    own.filter(pk__in=new).update(status=Status.QUEUED, status_code="", status_reason="")
    known = sorted(set(administration_ids) - set(new))
    made = _request(actor.organisation_id, new, Trigger.IMPORT, actor.name)
    return made + _request(actor.organisation_id, known, Trigger.PERSON, actor.name)


def cancel_run(actor: Actor, administration_id: int) -> bool:
    """Stop the open run at its page; what was read stays. False when there is none.

    A first import that is stopped is failed, with who stopped it as the reason, and can be retried."""
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    one = administration_for(actor, administration_id)
    stopped = Run.objects.filter(organisation_id=one.organisation_id, administration=one, state__in=OPEN_STATES).update(
        state=RunState.CANCELLED, finished_at=timezone.now(), reason_code="cancelled", reason=actor.name
    )
    if not stopped:
        return False
    if one.activated_at is None:
        sentence = _("The import was stopped by %(name)s.") % {"name": actor.name}
        Administration.objects.filter(organisation_id=one.organisation_id, pk=one.pk).update(
            status=Status.FAILED, status_code="cancelled", status_reason=sentence
        )
        import_settled(one.organisation_id, one.pk)
    subject = ("administration", one.pk, one.name)
    record(actor.organisation_id, actor.audit, "administration.sync_cancelled", subject=subject)
    return True


def request_for_connection(actor: Actor, connection_id: int) -> int:
    """After a reconnect: everything that could not be synced meanwhile. Imports go on; the others catch up on what the schedule
    would have done."""
    found = Administration.objects.filter(organisation_id=actor.organisation_id, connection_id=connection_id)
    waiting = found.exclude(status=Status.DEACTIVATED)
    known = list(waiting.exclude(activated_at=None).values_list("pk", flat=True))
    new = list(waiting.filter(activated_at=None).values_list("pk", flat=True))
    waiting.filter(pk__in=new).update(status=Status.QUEUED, status_code="", status_reason="")
    made = _request(actor.organisation_id, new, Trigger.IMPORT, actor.name)
    return made + _request(actor.organisation_id, known, Trigger.SCHEDULE, actor.name)


def request_released(organisation_id: int, administration_ids: Sequence[int], requested_by: str) -> int:
    """These are the companies that were confirmed, and go on: a first import where it stopped, the others with a full read, for
    nobody knows what changed meanwhile. How many runs were made."""
    own = Administration.objects.filter(organisation_id=organisation_id, pk__in=list(administration_ids))
    on = own.exclude(status=Status.DEACTIVATED)
    new = list(on.filter(activated_at=None).values_list("pk", flat=True))
    known = list(on.exclude(activated_at=None).values_list("pk", flat=True))
    made = _request(organisation_id, new, Trigger.IMPORT, requested_by)
    trigger = Trigger.PERSON if requested_by else Trigger.SCHEDULE
    return made + _request(organisation_id, known, trigger, requested_by, full=True)


def request_due_runs() -> int:
    """The schedule: one run for each administration whose time has come, however many were missed. How many were made.

    One at a time over all workers: whoever comes second finds the lock taken and leaves. The lock ends with the transaction,
    so a killed scheduler leaves nothing behind; a connection that does not work schedules nothing.
    In quarantine nothing is scheduled; what was missed is caught up."""
    if quarantine.current() is not None:
        return 0
    with installation_scope("schedule"):
        if not _alone():
            return 0
        due: dict[int, list[int]] = {}
        at, zone = timezone.now(), timezone.get_default_timezone()
        for one in _schedulable().iterator(chunk_size=2000):
            if is_due(in_force(one).schedule, one.last_run_at, at, spread_of(one.pk), zone):
                due.setdefault(one.organisation_id, []).append(one.pk)
        for organisation_id, ids in due.items():
            with organisation_scope(organisation_id):
                _request(organisation_id, ids, Trigger.SCHEDULE, "")
    return sum(map(len, due.values()))


def _schedulable() -> "QuerySet[Any]":
    """In one query, however many there are: at rest, imported completely once, on a connection that works; `last_run_at` of
    the newest run that was not for single resources only."""
    runs = Run.objects.filter(administration_id=OuterRef("pk"))
    whole = runs.filter(resources__isnull=True)
    return (
        Administration.objects.filter(status__in=READY, activated_at__isnull=False)
        .filter(connection__state__in=[ConnectionState.ACTIVE, ConnectionState.DEGRADED])
        .filter(remote_company__grant__lost_at=None)
        .exclude(Exists(runs.filter(state__in=OPEN_STATES)))
        .annotate(last_run_at=Subquery(whole.order_by("-created_at").values("created_at")[:1]))
        .select_related("template", "organisation")
    )


def _alone() -> bool:
    with db.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SCHEDULE_LOCK])
        return bool(cursor.fetchone()[0])


def _request(
    organisation_id: int, ids: Sequence[int], trigger: Trigger, requested_by: str,
    *, full: bool = False, resources: Sequence[str] | None = None,
) -> int:  # fmt: skip
    """At most one open run per administration: the database sees to it, and tells the workers. How many were made."""
    before = timezone.now()
    Run.objects.bulk_create(
        [
            Run(
                organisation_id=organisation_id,
                administration_id=one,
                trigger=trigger,
                requested_by=requested_by,
                full=full,
                resources=list(resources) if resources else None,
            )
            for one in ids
        ],
        ignore_conflicts=True,
        batch_size=1000,
    )
    made = Run.objects.filter(organisation_id=organisation_id, administration_id__in=ids, created_at__gte=before)
    return made.count()
