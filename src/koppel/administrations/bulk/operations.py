"""Use cases of bulk work: preview as a draft, start it once, carry it on chunk by chunk, undo it.

Each chunk is one transaction that locks its items, looks again at what is true now, changes it and says so on each item. A
worker that dies takes its chunk back with it; two workers take different chunks; nothing happens twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from django.db import connection
from django.db.models import Count, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.types.json import Jsonb

from koppel.administrations.asked import ID_MAX, Asked
from koppel.administrations.bulk import state
from koppel.administrations.bulk.acts import Act, Values, Verdict, act_named, refuse_unknown
from koppel.administrations.bulk.words import asked_shown, shown
from koppel.administrations.errors import NotThere
from koppel.administrations.listing import matching
from koppel.administrations.models import Administration, BulkItem, BulkOperation, BulkState, ItemState
from koppel.administrations.scope import visible_to
from koppel.audit.models import Door
from koppel.audit.services import record
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership
from koppel.organisations.policy import Actor, Permission, Role, lesser
from koppel.organisations.sign_in import actor_of

CHUNK_ITEMS = 500
AT_ONCE_MAX = 100
"""So few are changed before the answer is sent; more become a job."""
TOLD_EACH_MAX = 20
OF_FILES = frozenset({"per_item", "problems"})
"""What an operation from a CSV holds beside parameters of its act."""
UNDO_HOURS = 24
DRAFT_HOURS = 24
PENDING = {BulkState.QUEUED: BulkState.RUNNING, BulkState.RUNNING: BulkState.RUNNING}


@dataclass(frozen=True)
class Selection:
    """Which administrations: ids, or all that match. `each` holds what differs per administration (a CSV)."""

    ids: Sequence[int] = ()
    asked: Asked | None = None
    each: Mapping[int, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """Of an operation's items."""

    waiting: int
    changed: int
    skipped: int
    undone: int
    kept: int

    @property
    def total(self) -> int:
        return self.waiting + self.changed + self.skipped + self.undone + self.kept


def allowed_act(actor: Actor, key: str) -> Act:
    """Ask before a selection is read: who may not act learns nothing of it, and costs nothing. Raises `Refused`."""
    act = act_named(key)
    actor.require(act.permission)
    return act


def preview(actor: Actor, act_key: str, asked: Values, selection: Selection, *, source: str = "") -> BulkOperation:
    """A draft that says of each administration what would change, or why nothing would. Raises `Refused`, `NotThere`,
    `UnknownParameter`.

    `source` says where the selection comes from, for whoever reads it later."""
    act = allowed_act(actor, act_key)
    if selection.ids and selection.asked is not None:
        raise Refused(_("Name administrations by id, or by a filter; one of the two."))
    refuse_unknown(act, {key: value for key, value in asked.items() if not (selection.each and key in OF_FILES)})
    wanted = act.check(actor, asked)
    if any(not 0 < one <= ID_MAX for one in selection.ids):
        raise NotThere
    found = list(_selected(actor, selection))
    if not found and not selection.ids:
        raise Refused(_("Tick at least one administration first."))
    operation = BulkOperation.objects.create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        actor_name=actor.name,
        from_address=actor.from_address,
        role=actor.role,
        door=actor.door,
        act=act.key,
        asked=dict(wanted),
        source=source,
    )
    verdicts = act.judge(actor, found, {one.pk: {**wanted, **selection.each.get(one.pk, {})} for one in found})
    missing = [one for one in dict.fromkeys(selection.ids) if one not in verdicts]
    items = [_item(operation, one.pk, verdicts[one.pk], selection.each.get(one.pk, {})) for one in found]
    items += [_item(operation, one, Verdict("not_there"), {}) for one in missing]
    BulkItem.objects.bulk_create(items, batch_size=2000)
    operation.total = len(items)
    operation.save(update_fields=["total"])
    return operation


def start(actor: Actor, operation_id: int) -> bool:
    """Begin what was previewed. False when it began already: a double click, a second tab, a stale page."""
    operation = operation_for(actor, operation_id)
    own = BulkOperation.objects.filter(organisation_id=actor.organisation_id, pk=operation.pk)
    if operation.membership_id != actor.membership_id:
        raise NotThere
    if not own.filter(state=BulkState.DRAFT).update(state=BulkState.QUEUED, started_at=timezone.now()):
        return False
    _go_on(operation, ItemState.WAITING)
    return True


def note_done(actor: Actor, act_key: str, done: Mapping[int, Verdict], *, source: str = "") -> BulkOperation:
    """What another use case did in the same transaction, kept as if it had been done here: with a result for each
    administration, and its undo."""
    now = timezone.now()
    operation = BulkOperation.objects.create(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, actor_name=actor.name,
        from_address=actor.from_address, role=actor.role, door=actor.door, act=act_key, asked={"per_item": True},
        source=source, total=len(done), state=BulkState.DONE, started_at=now, finished_at=now,
    )  # fmt: skip
    items = [_item(operation, key, verdict, {}) for key, verdict in done.items()]
    for item in items:
        item.state = ItemState.CHANGED
    BulkItem.objects.bulk_create(items, batch_size=2000)
    return operation


def undo(actor: Actor, operation_id: int) -> bool:
    """Take back what was changed and nobody has changed since. False when that has begun already. Raises `Refused`."""
    operation = operation_for(actor, operation_id)
    actor.require(act_named(operation.act).permission)
    if operation.state in (BulkState.UNDOING, BulkState.UNDONE):
        return False
    if not can_undo(operation):
        raise Refused(_("This can no longer be undone."))
    own = BulkOperation.objects.filter(organisation_id=actor.organisation_id, pk=operation.pk, state=BulkState.DONE)
    begun = own.update(
        state=BulkState.UNDOING,
        undone_at=timezone.now(),
        membership_id=actor.membership_id,
        actor_name=actor.name,
        role=actor.role,
        door=actor.door,
        from_address=actor.from_address,
    )
    if begun:
        _go_on(operation, ItemState.CHANGED)
    return bool(begun)


def discard(actor: Actor, operation_id: int) -> None:
    """Throw a draft away; what was started meanwhile in another tab goes on."""
    operation = operation_for(actor, operation_id)
    own = BulkOperation.objects.filter(organisation_id=actor.organisation_id, pk=operation.pk, state=BulkState.DRAFT)
    _throw_away(own)


def carry_on(organisation_id: int, operation_id: int) -> bool:
    """One chunk. True while there may be more. Call it in the organisation's scope, each time in its own transaction."""
    operation = BulkOperation.objects.filter(organisation_id=organisation_id, pk=operation_id).first()
    if operation is None or operation.state not in (*PENDING, BulkState.UNDOING):
        return False
    undoes = operation.state == BulkState.UNDOING
    wanted = ItemState.CHANGED if undoes else ItemState.WAITING
    pending = BulkItem.objects.filter(organisation_id=organisation_id, operation=operation, state=wanted)
    items = list(pending.select_for_update(skip_locked=True, of=("self",)).order_by("pk")[:CHUNK_ITEMS])
    if not items:
        return _finish(operation, pending, undoes=undoes)
    if operation.state == BulkState.QUEUED:
        BulkOperation.objects.filter(organisation_id=organisation_id, pk=operation_id, state=BulkState.QUEUED).update(
            state=BulkState.RUNNING
        )
    _perform(operation, act_named(operation.act), items, undoes=undoes)
    return True


def operation_for(actor: Actor, operation_id: int) -> BulkOperation:
    """One's own; Administrators and Team leaders see everybody's once it has begun. Raises `NotThere`."""
    found = BulkOperation.objects.filter(organisation_id=actor.organisation_id, pk=operation_id)
    operation = found.select_related("membership__user").first()
    if operation is None:
        raise NotThere
    theirs = operation.membership_id != actor.membership_id
    if theirs and (not actor.may(Permission.PEOPLE) or operation.state == BulkState.DRAFT):
        raise NotThere
    return operation


def operations_of(actor: Actor, limit: int = 50) -> "QuerySet[BulkOperation]":
    """What was begun, newest first."""
    found = BulkOperation.objects.filter(organisation_id=actor.organisation_id).exclude(state=BulkState.DRAFT)
    if not actor.may(Permission.PEOPLE):
        found = found.filter(membership_id=actor.membership_id)
    return found.order_by("-created_at", "-pk")[:limit]


def done_by_import(actor: Actor, import_id: int) -> int | None:
    """The id of what the wizard assigned in this import, while it can be undone; None when nothing was."""
    found = BulkOperation.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, source=f"import={import_id}"
    )
    return next((one.pk for one in found.order_by("pk") if can_undo(one)), None)


def counts_of(operation: BulkOperation) -> Counts:
    found = BulkItem.objects.filter(organisation_id=operation.organisation_id, operation=operation)
    by_state = dict(found.values_list("state").annotate(Count("pk")).order_by())
    return Counts(**{one.value: by_state.get(one.value, 0) for one in ItemState})


def can_undo(operation: BulkOperation) -> bool:
    since = timezone.now() - timedelta(hours=UNDO_HOURS)
    finished = operation.finished_at
    return (
        operation.state == BulkState.DONE
        and act_named(operation.act).is_undoable
        and bool(finished and finished > since)
    )


def forget_drafts() -> int:
    """Previews that nobody started. In the installation's scope."""
    old = BulkOperation.objects.filter(
        state=BulkState.DRAFT, created_at__lt=timezone.now() - timedelta(hours=DRAFT_HOURS)
    )
    return _throw_away(old)


def _throw_away(drafts: "QuerySet[BulkOperation]") -> int:
    """Held first, so that nobody starts one whose items are going."""
    ids = list(drafts.select_for_update(no_key=True).values_list("pk", flat=True))
    BulkItem.objects.filter(operation__in=ids).delete()
    return BulkOperation.objects.filter(pk__in=ids).delete()[0]


def _selected(actor: Actor, selection: Selection) -> "QuerySet[Administration]":
    if selection.asked is not None:
        return matching(actor, selection.asked).order_by("pk")
    return visible_to(actor).filter(pk__in=list(selection.ids)).order_by("pk")


def _item(operation: BulkOperation, key: int, verdict: Verdict, each: Values) -> BulkItem:
    return BulkItem(
        organisation_id=operation.organisation_id,
        operation=operation,
        administration_id=key,
        state=ItemState.SKIPPED if verdict.why else ItemState.WAITING,
        why=verdict.why,
        asked=dict(each),
        before=dict(verdict.before),
        after=dict(verdict.after),
    )


def _go_on(operation: BulkOperation, pending: ItemState) -> None:
    from koppel.administrations.tasks import carry_on_bulk  # noqa: PLC0415 - tasks import this module

    waiting = operation.items.filter(organisation_id=operation.organisation_id, state=pending).count()
    if waiting > AT_ONCE_MAX:
        carry_on_bulk.defer(organisation_id=operation.organisation_id, operation_id=operation.pk)
        return
    while carry_on(operation.organisation_id, operation.pk):
        pass


def _finish(operation: BulkOperation, pending: "QuerySet[BulkItem]", *, undoes: bool) -> bool:
    """Whoever finds nothing left closes it. Items that another worker holds are still pending: that one closes it."""
    if pending.exists():
        return False
    own = BulkOperation.objects.filter(organisation_id=operation.organisation_id, pk=operation.pk)
    if undoes:
        own.filter(state=BulkState.UNDOING).update(state=BulkState.UNDONE)
    else:
        own.filter(state__in=list(PENDING)).update(state=BulkState.DONE, finished_at=timezone.now())
    return False


def _perform(operation: BulkOperation, act: Act, items: Sequence[BulkItem], *, undoes: bool) -> None:
    actor = _actor(operation)
    if actor is None or not actor.may(act.permission):
        left = ItemState.KEPT if undoes else ItemState.SKIPPED
        _store(operation, [(item, left, Verdict("not_allowed")) for item in items])
        return
    own = visible_to(actor).filter(pk__in=[item.administration_id for item in items]).order_by("pk")
    found = {one.pk: one for one in own.select_for_update(of=("self",), no_key=True)}
    verdicts = _reversals(actor, found, items) if undoes else _judged(actor, act, operation, found, items)
    changed = {key: verdict.after for key, verdict in verdicts.items() if not verdict.why or (undoes and verdict.after)}
    act.perform(actor, changed)
    _store(operation, [(item, *_result(verdicts.get(item.administration_id), undoes=undoes)) for item in items])
    if changed and (in_trail := act.in_trail(operation.asked)):
        record(
            actor.organisation_id,
            actor.audit,
            "administrations.undone" if undoes else in_trail,
            subject=("bulk_operation", operation.pk, ""),
            details=_details(operation, found, {key: verdicts[key] for key in changed}),
        )


def _details(
    operation: BulkOperation, found: Mapping[int, Administration], changed: Mapping[int, Verdict]
) -> dict[str, object]:
    """Ids, what was asked, and for few what was and is; of many each item keeps that itself."""
    told: dict[str, object] = {**asked_shown(operation.asked), "administrations": sorted(changed)}
    told.pop("problems", None)
    if len(changed) <= TOLD_EACH_MAX:
        countries = {key: found[key].country for key in changed}
        told["before"] = {str(key): dict(shown(one.before, countries[key])) for key, one in changed.items()}
        told["after"] = {str(key): dict(shown(one.after, countries[key])) for key, one in changed.items()}
    return told


def _judged(
    actor: Actor, act: Act, operation: BulkOperation, found: Mapping[int, Administration], items: Iterable[BulkItem]
) -> dict[int, Verdict]:
    asked = {
        item.administration_id: {**operation.asked, **item.asked} for item in items if item.administration_id in found
    }
    return act.judge(actor, list(found.values()), asked)


def _reversals(actor: Actor, found: Mapping[int, Administration], items: Iterable[BulkItem]) -> dict[int, Verdict]:
    people = state.people_on(actor.organisation_id, found)
    not_offered = state.archived(actor.organisation_id, [item.before for item in items])
    live = state.live_members(actor.organisation_id) if any(one.restricted for one in found.values()) else frozenset()
    return {
        key: state.reversal(found[key], people.get(key, {}), (item.before, item.after), live, not_offered)
        for item in items
        if (key := item.administration_id) in found
    }


def _result(verdict: Verdict | None, *, undoes: bool) -> tuple[ItemState, Verdict]:
    if verdict is None:
        return (ItemState.KEPT if undoes else ItemState.SKIPPED), Verdict("not_there")
    if undoes:
        return (ItemState.KEPT if verdict.why else ItemState.UNDONE), Verdict(verdict.why)
    return (ItemState.SKIPPED if verdict.why else ItemState.CHANGED), verdict


_STORE = """
UPDATE administrations_bulk_item item
   SET state = done.state, why = done.why,
       before = coalesce(done.before, item.before), after = coalesce(done.after, item.after)
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[]) AS done(id, state, why, before, after)
 WHERE item.organisation_id = %s AND item.id = done.id
"""


def _store(operation: BulkOperation, results: Sequence[tuple[BulkItem, ItemState, Verdict]]) -> None:
    """What really happened replaces what the preview foresaw."""
    rows = [
        (
            item.pk,
            state_now.value,
            verdict.why,
            Jsonb(dict(verdict.before)) if state_now is ItemState.CHANGED else None,
            Jsonb(dict(verdict.after)) if state_now is ItemState.CHANGED else None,
        )
        for item, state_now, verdict in results
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [*map(list, zip(*rows, strict=True)), operation.organisation_id])


def _actor(operation: BulkOperation) -> Actor | None:
    """Who began it, with the role they have now but no more than they began with. None: no longer a member."""
    member = Membership.objects.filter(organisation_id=operation.organisation_id, pk=operation.membership_id or 0)
    user_id = member.values_list("user_id", flat=True).first()
    actor = actor_of(user_id, operation.organisation_id, operation.from_address, Door(operation.door))
    if actor is None or actor.membership_id != operation.membership_id:
        return None
    return replace(actor, role=lesser(Role(operation.role), actor.role), name=operation.actor_name)
