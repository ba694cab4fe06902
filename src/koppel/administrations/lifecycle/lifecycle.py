"""The life of an administration after its import: withdrawn by mistake, left by its client, erased; and what came before it.

Books and syncs belong to higher slices. They register here how they stop, start and erase theirs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.db import connection
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.audit_log.reading import forget
from koppel.administrations.errors import NotThere
from koppel.administrations.models import Administration, Assignment, BulkItem, Favourite, Status
from koppel.administrations.scope import not_there, visible_to
from koppel.audit.models import ActorKind
from koppel.audit.services import AuditActor, record
from koppel.connections.companies import same_company
from koppel.connections.models import RemoteCompany
from koppel.issues.models import Issue
from koppel.notifications.events.erasure import forget_administration
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

KEEP_YEARS = 7
"""How long a Dutch firm must keep a client's books; proposed, not imposed."""
LINES_LOCK = 0x11FE
KEEPER = AuditActor(ActorKind.JOB, None, "Koppel")

Stop = Callable[[int, Sequence[int]], object]
Begin = Callable[[Actor, Sequence[int]], object]
Erase = Callable[[int, int], bool]

_stops: list[Stop] = []
_begins: list[Begin] = []
_erasers: list[Erase] = []


@dataclass(frozen=True)
class Due:
    """What falls due today. `to_erase` holds (organisation, administration)."""

    organisations_to_deactivate: Sequence[int]
    to_erase: Sequence[tuple[int, int]]


def register_stop(stop: Stop) -> None:
    """`stop(organisation_id, administration_ids)` ends what runs or waits for these administrations."""
    if stop not in _stops:
        _stops.append(stop)


def register_begin(begin: Begin) -> None:
    """`begin(actor, administration_ids)` asks for the first sync of these."""
    if begin not in _begins:
        _begins.append(begin)


def register_eraser(erase: Erase) -> None:
    """`erase(organisation_id, administration_id)` deletes some of what it keeps; True while there may be more."""
    if erase not in _erasers:
        _erasers.append(erase)


def tell_stopped(organisation_id: int, administration_ids: Sequence[int]) -> None:
    for stop in _stops if administration_ids else ():
        stop(organisation_id, administration_ids)


def tell_queued(actor: Actor, administration_ids: Sequence[int]) -> None:
    for begin in _begins if administration_ids else ():
        begin(actor, administration_ids)


def withdraw(actor: Actor, administration_id: int) -> None:
    """Take back an import: cancel one that still waits, or erase what was read. It is gone for everybody at once.

    The remote company can be imported again. Raises `NotThere`."""
    actor.require(Permission.IMPORT)
    one = _locked(actor, administration_id)
    waits = one.status == Status.QUEUED and one.activated_at is None
    one.withdrawn_at, one.status = timezone.now(), Status.DEACTIVATED
    one.save(update_fields=["withdrawn_at", "status"])
    _record(actor, one.pk, "administration.import_cancelled" if waits else "administration.withdrawn")
    tell_stopped(actor.organisation_id, [one.pk])
    _defer_erasing(actor.organisation_id, one.pk)


def client_left(actor: Actor, administration_id: int, *, left_on: date, erase_on: date) -> None:
    """Syncing stops, siblings on the same connection go on; on `erase_on` everything is erased. Raises `Refused`."""
    actor.require(Permission.IMPORT)
    one = _locked(actor, administration_id)
    if erase_on <= timezone.localdate():
        raise Refused(_("The day of erasing must lie in the future. To erase at once, withdraw the administration."))
    if erase_on < left_on:
        raise Refused(_("The books cannot be erased before the client left."))
    one.left_on, one.erase_on, one.deactivate_on = left_on, erase_on, None
    one.status, one.status_code, one.status_reason = Status.DEACTIVATED, "", ""
    one.deactivated_on = one.deactivated_on or timezone.localdate()
    one.save(
        update_fields=[
            "left_on", "erase_on", "deactivate_on", "status", "status_code", "status_reason", "deactivated_on",
        ]
    )  # fmt: skip
    tell_stopped(actor.organisation_id, [one.pk])
    details = {"left_on": left_on.isoformat(), "erase_on": erase_on.isoformat()}
    _record(actor, one.pk, "administration.client_left", one.name, details)


def client_stays(actor: Actor, administration_id: int) -> None:
    """The client came back: nothing is erased. It stays deactivated until somebody activates it."""
    actor.require(Permission.IMPORT)
    one = _locked(actor, administration_id)
    one.left_on = one.erase_on = None
    one.save(update_fields=["left_on", "erase_on"])
    _record(actor, one.pk, "administration.client_stays", one.name)


def follow(actor: Actor, administration_id: int, predecessor_id: int | None) -> None:
    """Say which administration this one continues (renamed, merged, moved to another system); None: none.

    Raises `NotThere`, and `Refused` for itself or a circle."""
    actor.require(Permission.IMPORT)
    _one_line_at_a_time(actor.organisation_id)
    one = _locked(actor, administration_id)
    if predecessor_id is not None and not visible_to(actor).filter(pk=predecessor_id).exists():
        raise NotThere
    if predecessor_id is not None and one.pk in _line_of(actor.organisation_id, predecessor_id):
        raise Refused(_("That administration continues this one already."))
    before = one.predecessor_id
    one.predecessor_id = predecessor_id
    one.save(update_fields=["predecessor"])
    details = {"before": before, "after": predecessor_id}
    _record(actor, one.pk, "administration.predecessor_set", one.name, details)


def duplicates_of(actor: Actor, one: Administration) -> list[Administration]:
    """Others with the same registration number, within what the actor sees. A predecessor is no duplicate."""
    if not one.number:
        return []
    same = visible_to(actor).filter(number=one.number, number_scheme=one.number_scheme).exclude(pk=one.pk)
    return list(same.exclude(pk=one.predecessor_id or 0).exclude(predecessor=one).order_by("sort_name")[:10])


def due_today() -> Due:
    """In the installation's scope."""
    today = timezone.localdate()
    planned = Administration.objects.filter(deactivate_on__lte=today, withdrawn_at=None)
    over = Administration.objects.filter(Q(erase_on__lte=today, left_on__isnull=False) | Q(withdrawn_at__isnull=False))
    return Due(
        sorted(set(planned.values_list("organisation_id", flat=True))),
        list(over.order_by("pk").values_list("organisation_id", "pk")),
    )


def deactivate_planned(organisation_id: int) -> int:
    """Those whose day has come. How many."""
    due = Administration.objects.filter(
        organisation_id=organisation_id, deactivate_on__lte=timezone.localdate(), withdrawn_at=None
    )
    ids = list(due.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))
    if not ids:
        return 0
    Administration.objects.filter(organisation_id=organisation_id, pk__in=ids).update(
        status=Status.DEACTIVATED,
        status_code="",
        status_reason="",
        deactivated_on=timezone.localdate(),
        deactivate_on=None,
    )
    tell_stopped(organisation_id, ids)
    record(organisation_id, KEEPER, "administrations.deactivated", details={"administrations": ids})
    return len(ids)


def erase_some(organisation_id: int, administration_id: int) -> bool:
    """A part of what may be erased of it: withdrawn, or kept long enough. True while there may be more.

    Books first, the row itself last; then the trail names nobody any more, its older entries neither. Restartable at any
    moment."""
    own = Administration.objects.filter(organisation_id=organisation_id, pk=administration_id)
    over = Q(withdrawn_at__isnull=False) | Q(erase_on__lte=timezone.localdate(), left_on__isnull=False)
    one = own.filter(over).select_for_update(no_key=True).first()
    if one is None:
        return False
    tell_stopped(organisation_id, [one.pk])
    for erase in _erasers:
        if erase(organisation_id, one.pk):
            return True
    forget(organisation_id, one.pk)
    _erase_row(one)
    details = {"reason": "withdrawn" if one.withdrawn_at else "kept_long_enough"}
    record(
        organisation_id,
        KEEPER,
        "administration.erased",
        subject=("administration", administration_id, ""),
        details=details,
    )
    return False


def _erase_row(one: Administration) -> None:
    own = {"organisation_id": one.organisation_id}
    Issue.objects.filter(**own, subject_kind="administration", subject_id=one.pk).delete()
    forget_administration(one.organisation_id, one.pk)
    for model in (BulkItem, Assignment, Favourite):
        model._default_manager.filter(**own, administration_id=one.pk).delete()
    Administration.objects.filter(**own, predecessor=one).update(predecessor=None)
    remote_company_id, left = one.remote_company_id, one.withdrawn_at is None
    Administration.objects.filter(**own, pk=one.pk).delete()
    if left:
        # What the accounting system still lists is listed again; what we remembered of it goes.
        RemoteCompany.objects.filter(**own, pk=remote_company_id).delete()
    elif company := RemoteCompany.objects.select_for_update(no_key=True).filter(**own, pk=remote_company_id).first():
        same_company.forget(company)
        company.save()


def _defer_erasing(organisation_id: int, administration_id: int) -> None:
    from koppel.administrations.tasks import erase  # noqa: PLC0415 - tasks import this module

    erase.defer(organisation_id=organisation_id, administration_id=administration_id)


def _locked(actor: Actor, administration_id: int) -> Administration:
    found = visible_to(actor).filter(pk=administration_id)
    one = found.select_for_update(of=("self",), no_key=True).first()
    if one is None:
        raise not_there(actor, administration_id)
    return one


def _one_line_at_a_time(organisation_id: int) -> None:
    """Until the end of the transaction: a circle may close over rows that nobody holds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LINES_LOCK, organisation_id])


def _line_of(organisation_id: int, administration_id: int) -> set[int]:
    """It and everything it continues."""
    line: set[int] = set()
    current: int | None = administration_id
    while current is not None and current not in line:
        line.add(current)
        found = Administration.objects.filter(organisation_id=organisation_id, pk=current)
        current = found.values_list("predecessor_id", flat=True).first()
    return line


def _record(
    actor: Actor, administration_id: int, act: str, name: str = "", details: Mapping[str, object] | None = None
) -> None:
    subject = ("administration", administration_id, name)
    record(actor.organisation_id, actor.audit, act, subject=subject, details=details)
