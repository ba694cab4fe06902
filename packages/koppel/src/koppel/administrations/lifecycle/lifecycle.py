"""The life of an administration after its import: withdrawn by mistake, left by its client, erased; and what came before it.

Books and syncs belong to higher slices. They register here how they stop, start and erase theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.audit_log.reading import forget_administration
from koppel.administrations.errors import NotFound
from koppel.administrations.models import Administration, Assignment, BulkItem, Favourite, Status
from koppel.administrations.scope import audited_not_found, visible_to
from koppel.audit.models import ActorKind
from koppel.audit.services import AuditActor, record
from koppel.connections.companies import same_company
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.jobs import enqueue
from koppel.kit.locks import LockName, lock_until_commit
from koppel.notifications.events.erasure import erase_administration
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

KEEP_YEARS = 7
"""How long a Dutch firm must keep a client's books; proposed, not imposed."""
SYSTEM_ACTOR = AuditActor(ActorKind.JOB, None, "Koppel")

StopHook = Callable[[int, Sequence[int]], object]
StartHook = Callable[[Actor, Sequence[int]], object]
EraseHook = Callable[[int, int], bool]

_stop_hooks: list[StopHook] = []
_start_hooks: list[StartHook] = []
_erase_hooks: list[EraseHook] = []


@dataclass(frozen=True)
class DueWork:
    """What falls due today. `to_erase` holds (organisation, administration)."""

    organisations_to_deactivate: Sequence[int]
    to_erase: Sequence[tuple[int, int]]


def register_stop_hook(stop: StopHook) -> None:
    """`stop(organisation_id, administration_ids)` ends what runs or waits for these administrations."""
    if stop not in _stop_hooks:
        _stop_hooks.append(stop)


def register_start_hook(begin: StartHook) -> None:
    """`begin(actor, administration_ids)` asks for the first sync of these."""
    if begin not in _start_hooks:
        _start_hooks.append(begin)


def register_erase_hook(erase: EraseHook) -> None:
    """`erase(organisation_id, administration_id)` deletes some of what it keeps; True while there may be more."""
    if erase not in _erase_hooks:
        _erase_hooks.append(erase)


def stop_syncs(organisation_id: int, administration_ids: Sequence[int]) -> None:
    for stop in _stop_hooks if administration_ids else ():
        stop(organisation_id, administration_ids)


def queue_first_sync(actor: Actor, administration_ids: Sequence[int]) -> None:
    for begin in _start_hooks if administration_ids else ():
        begin(actor, administration_ids)


def withdraw(actor: Actor, administration_id: int) -> None:
    """Take back an import: cancel one that still waits, or erase what was read. It is gone for everybody at once.

    The remote company can be imported again. Raises `NotFound`."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = _get_locked(actor, administration_id)
    waits = administration.status == Status.QUEUED and administration.activated_at is None
    administration.withdrawn_at, administration.status = timezone.now(), Status.DEACTIVATED
    administration.save(update_fields=["withdrawn_at", "status"])
    _record(actor, administration.pk, "administration.import_cancelled" if waits else "administration.withdrawn")
    stop_syncs(actor.organisation_id, [administration.pk])
    _defer_erasing(actor.organisation_id, administration.pk)


def offboard_client(actor: Actor, administration_id: int, *, client_left_on: date, erase_on: date) -> None:
    """Syncing stops, siblings on the same connection go on; on `erase_on` everything is erased. Raises `Refused`."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = _get_locked(actor, administration_id)
    if erase_on <= timezone.localdate():
        raise Refused(_("The day of erasing must lie in the future. To erase at once, withdraw the administration."))
    if erase_on < client_left_on:
        raise Refused(_("The books cannot be erased before the client left."))
    administration.client_left_on, administration.erase_on, administration.scheduled_deactivation_on = (
        client_left_on,
        erase_on,
        None,
    )
    administration.status, administration.status_code, administration.status_reason = Status.DEACTIVATED, "", ""
    administration.deactivated_on = administration.deactivated_on or timezone.localdate()
    administration.save(
        update_fields=[
            "client_left_on", "erase_on", "scheduled_deactivation_on", "status", "status_code", "status_reason",
            "deactivated_on",
        ]
    )  # fmt: skip
    stop_syncs(actor.organisation_id, [administration.pk])
    details = {"client_left_on": client_left_on.isoformat(), "erase_on": erase_on.isoformat()}
    _record(actor, administration.pk, "administration.client_left", administration.name, details)


def cancel_offboarding(actor: Actor, administration_id: int) -> None:
    """The client came back: nothing is erased. It stays deactivated until somebody activates it."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    administration = _get_locked(actor, administration_id)
    administration.client_left_on = administration.erase_on = None
    administration.save(update_fields=["client_left_on", "erase_on"])
    _record(actor, administration.pk, "administration.client_stays", administration.name)


def set_predecessor(actor: Actor, administration_id: int, predecessor_id: int | None) -> None:
    """Say which administration this one continues (renamed, merged, moved to another system); None: none.

    Raises `NotFound`, and `Refused` for itself or a circle."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    lock_until_commit(LockName.PREDECESSORS, actor.organisation_id)
    administration = _get_locked(actor, administration_id)
    if predecessor_id is not None and not visible_to(actor).filter(pk=predecessor_id).exists():
        raise NotFound
    if predecessor_id is not None and administration.pk in _predecessor_chain(actor.organisation_id, predecessor_id):
        raise Refused(_("That administration continues this one already."))
    before = administration.predecessor_id
    administration.predecessor_id = predecessor_id
    administration.save(update_fields=["predecessor"])
    details = {"before": before, "after": predecessor_id}
    _record(actor, administration.pk, "administration.predecessor_set", administration.name, details)


def list_duplicates(actor: Actor, administration: Administration) -> list[Administration]:
    """Others with the same registration number, within what the actor sees. A predecessor is no duplicate."""
    if not administration.number:
        return []
    same = (
        visible_to(actor)
        .filter(number=administration.number, number_scheme=administration.number_scheme)
        .exclude(pk=administration.pk)
    )
    return list(
        same.exclude(pk=administration.predecessor_id or 0)
        .exclude(predecessor=administration)
        .order_by("sort_name")[:10]
    )


def due_today() -> DueWork:
    """In the installation's scope."""
    today = timezone.localdate()
    planned = Administration.objects.filter(scheduled_deactivation_on__lte=today, withdrawn_at=None)
    over = Administration.objects.filter(
        Q(erase_on__lte=today, client_left_on__isnull=False) | Q(withdrawn_at__isnull=False)
    )
    return DueWork(
        sorted(set(planned.values_list("organisation_id", flat=True))),
        list(over.order_by("pk").values_list("organisation_id", "pk")),
    )


def deactivate_planned(organisation_id: int) -> int:
    """Those whose day has come. How many."""
    due = Administration.objects.filter(
        organisation_id=organisation_id, scheduled_deactivation_on__lte=timezone.localdate(), withdrawn_at=None
    )
    ids = list(due.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    if not ids:
        return 0
    Administration.objects.filter(organisation_id=organisation_id, pk__in=ids).update(
        status=Status.DEACTIVATED,
        status_code="",
        status_reason="",
        deactivated_on=timezone.localdate(),
        scheduled_deactivation_on=None,
    )
    stop_syncs(organisation_id, ids)
    record(organisation_id, SYSTEM_ACTOR, "administrations.deactivated", details={"administrations": ids})
    return len(ids)


def erase_batch(organisation_id: int, administration_id: int) -> bool:
    """A part of what may be erased of it: withdrawn, or kept long enough. True while there may be more.

    Books first, the row itself last; then the trail names nobody any more, its older entries neither. Restartable at any
    moment."""
    queryset = Administration.objects.filter(organisation_id=organisation_id, pk=administration_id)
    over = Q(withdrawn_at__isnull=False) | Q(erase_on__lte=timezone.localdate(), client_left_on__isnull=False)
    administration = queryset.filter(over).select_for_update(no_key=True).first()
    if administration is None:
        return False
    stop_syncs(organisation_id, [administration.pk])
    for erase in _erase_hooks:
        if erase(organisation_id, administration.pk):
            return True
    forget_administration(organisation_id, administration.pk)
    _erase_row(administration)
    details = {"reason": "withdrawn" if administration.withdrawn_at else "kept_long_enough"}
    record(
        organisation_id,
        SYSTEM_ACTOR,
        "administration.erased",
        subject=("administration", administration_id, ""),
        details=details,
    )
    return False


def _erase_row(administration: Administration) -> None:
    tenant = {"organisation_id": administration.organisation_id}
    Issue.objects.filter(**tenant, subject_kind="administration", subject_id=administration.pk).delete()
    erase_administration(administration.organisation_id, administration.pk)
    for model in (BulkItem, Assignment, Favourite):
        model._default_manager.filter(**tenant, administration_id=administration.pk).delete()
    Administration.objects.filter(**tenant, predecessor=administration).update(predecessor=None)
    remote_company_id, left = administration.remote_company_id, administration.withdrawn_at is None
    Administration.objects.filter(**tenant, pk=administration.pk).delete()
    if left:
        # What the accounting system still lists is listed again; what we remembered of it goes.
        RemoteCompany.objects.filter(**tenant, pk=remote_company_id).delete()
    elif company := RemoteCompany.objects.select_for_update(no_key=True).filter(**tenant, pk=remote_company_id).first():
        same_company.forget(company)
        company.save()


def _defer_erasing(organisation_id: int, administration_id: int) -> None:
    enqueue("administrations.erase", organisation_id=organisation_id, administration_id=administration_id)


def _get_locked(actor: Actor, administration_id: int) -> Administration:
    queryset = visible_to(actor).filter(pk=administration_id)
    administration = queryset.select_for_update(of=("self",), no_key=True).first()
    if administration is None:
        raise audited_not_found(actor, administration_id)
    return administration


def _predecessor_chain(organisation_id: int, administration_id: int) -> set[int]:
    """It and everything it continues."""
    line: set[int] = set()
    current: int | None = administration_id
    while current is not None and current not in line:
        line.add(current)
        queryset = Administration.objects.filter(organisation_id=organisation_id, pk=current)
        current = queryset.values_list("predecessor_id", flat=True).first()
    return line


def _record(
    actor: Actor, administration_id: int, action: str, name: str = "", details: Mapping[str, object] | None = None
) -> None:
    subject = ("administration", administration_id, name)
    record(actor.organisation_id, actor.audit, action, subject=subject, details=details)
