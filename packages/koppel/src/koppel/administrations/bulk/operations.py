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

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.bulk import snapshot
from koppel.administrations.bulk.actions import BulkAction, PlannedChange, Values, get_action, refuse_unknown
from koppel.administrations.bulk.messages import mask_params, mask_values
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.errors import NotFound
from koppel.administrations.list.query import ID_MAX, ListQuery
from koppel.administrations.list.queryset import apply_filters
from koppel.administrations.models import (
    Administration,
    BulkItem,
    BulkOperation,
    BulkParameters,
    BulkState,
    BulkValues,
    ItemState,
)
from koppel.administrations.scope import visible_to
from koppel.audit.models import Interface
from koppel.audit.services import record
from koppel.kit.database.json_fields import to_json, to_shape
from koppel.kit.jobs import enqueue
from koppel.organisations.access.actors import resolve_actor
from koppel.organisations.errors import Refused
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission, Role, least_privileged

CHUNK_ITEMS = 500
INLINE_ITEMS_MAX = 100
"""So few are changed before the answer is sent; more become a job."""
AUDITED_ITEMS_MAX = 20
OF_FILES = frozenset({"per_item", "problems"})
"""What an operation from a CSV holds beside parameters of its action."""
UNDO_HOURS = 24
DRAFT_HOURS = 24
PENDING = {BulkState.QUEUED: BulkState.RUNNING, BulkState.RUNNING: BulkState.RUNNING}


@dataclass(frozen=True)
class Selection:
    """Which administrations: ids, or all that match. `values_by_id` holds what differs per administration (a CSV)."""

    ids: Sequence[int] = ()
    query: ListQuery | None = None
    values_by_id: Mapping[int, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class ItemCounts:
    """Of an operation's items."""

    waiting: int
    changed: int
    skipped: int
    undone: int
    kept: int

    @property
    def total(self) -> int:
        return self.waiting + self.changed + self.skipped + self.undone + self.kept


def get_allowed_action(actor: Actor, key: str) -> BulkAction:
    """Call this before the selection is read, so that a person without permission learns nothing of it. Raises `Refused`."""
    action = get_action(key)
    actor.require(action.permission)
    return action


def preview(actor: Actor, action_key: str, params: Values, selection: Selection, *, query: str = "") -> BulkOperation:
    """A draft that says of each administration what would change, or why nothing would. Raises `Refused`, `NotFound`,
    `UnknownParameter`.

    `query` says where the selection comes from, for whoever reads it later."""
    action = get_allowed_action(actor, action_key)
    if selection.ids and selection.query is not None:
        raise Refused(_("Name administrations by id, or by a filter; one of the two."))
    refuse_unknown(
        action, {key: value for key, value in params.items() if not (selection.values_by_id and key in OF_FILES)}
    )
    validated = action.validate(actor, params)
    if any(not 0 < key <= ID_MAX for key in selection.ids):
        raise NotFound
    administrations = list(_selected(actor, selection))
    if not administrations and not selection.ids:
        raise Refused(_("Tick at least one administration first."))
    operation = BulkOperation.objects.create(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        actor_name=actor.name,
        ip_address=actor.ip_address,
        role=actor.role,
        interface=actor.interface,
        action=action.key,
        params=to_shape(validated, BulkParameters),
        query=query,
    )
    selected_ids = [administration.pk for administration in administrations]
    changes = action.plan(
        actor,
        administrations,
        {key: _merged(validated, selection.values_by_id.get(key, {})) for key in selected_ids},
    )
    missing = [key for key in dict.fromkeys(selection.ids) if key not in changes]
    items = [_item(operation, key, changes[key], selection.values_by_id.get(key, {})) for key in selected_ids]
    items += [_item(operation, key, PlannedChange(CommonReason.NOT_FOUND), {}) for key in missing]
    BulkItem.objects.bulk_create(items, batch_size=2000)
    operation.total = len(items)
    operation.save(update_fields=["total"])
    return operation


def start_operation(actor: Actor, operation_id: int) -> bool:
    """Begin what was previewed. False when it began already: a double click, a second tab, a stale page."""
    operation = get_operation(actor, operation_id)
    queryset = BulkOperation.objects.filter(organisation_id=actor.organisation_id, pk=operation.pk)
    if operation.membership_id != actor.membership_id:
        raise NotFound
    if not queryset.filter(state=BulkState.DRAFT).update(state=BulkState.QUEUED, started_at=timezone.now()):
        return False
    _run_or_enqueue(operation, ItemState.WAITING)
    return True


def record_completed(
    actor: Actor, action_key: str, changes: Mapping[int, PlannedChange], *, query: str = ""
) -> BulkOperation:
    """What another use case did in the same transaction, kept as if it had been done here: with a result for each
    administration, and its undo."""
    now = timezone.now()
    operation = BulkOperation.objects.create(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, actor_name=actor.name,
        ip_address=actor.ip_address, role=actor.role, interface=actor.interface, action=action_key,
        params=BulkParameters(per_item=True),
        query=query, total=len(changes), state=BulkState.DONE, started_at=now, finished_at=now,
    )  # fmt: skip
    items = [_item(operation, key, verdict, {}) for key, verdict in changes.items()]
    for item in items:
        item.state = ItemState.CHANGED
    BulkItem.objects.bulk_create(items, batch_size=2000)
    return operation


def undo(actor: Actor, operation_id: int) -> bool:
    """Take back what was changed and nobody has changed since. False when that has begun already. Raises `Refused`."""
    operation = get_operation(actor, operation_id)
    actor.require(get_action(operation.action).permission)
    if operation.state in (BulkState.UNDOING, BulkState.UNDONE):
        return False
    if not can_undo(operation):
        raise Refused(_("This can no longer be undone."))
    queryset = BulkOperation.objects.filter(
        organisation_id=actor.organisation_id, pk=operation.pk, state=BulkState.DONE
    )
    updated_count = queryset.update(
        state=BulkState.UNDOING,
        undone_at=timezone.now(),
        membership_id=actor.membership_id,
        actor_name=actor.name,
        role=actor.role,
        interface=actor.interface,
        ip_address=actor.ip_address,
    )
    if updated_count:
        _run_or_enqueue(operation, ItemState.CHANGED)
    return bool(updated_count)


def discard(actor: Actor, operation_id: int) -> None:
    """Throw a draft away; what was started meanwhile in another tab goes on."""
    operation = get_operation(actor, operation_id)
    queryset = BulkOperation.objects.filter(
        organisation_id=actor.organisation_id, pk=operation.pk, state=BulkState.DRAFT
    )
    _delete_drafts(queryset)


def process_chunk(organisation_id: int, operation_id: int) -> bool:
    """One chunk. True while there may be more. Call it in the organisation's scope, each time in its own transaction."""
    operation = BulkOperation.objects.filter(organisation_id=organisation_id, pk=operation_id).first()
    if operation is None or operation.state not in (*PENDING, BulkState.UNDOING):
        return False
    undoes = operation.state == BulkState.UNDOING
    pending_state = ItemState.CHANGED if undoes else ItemState.WAITING
    pending = BulkItem.objects.filter(organisation_id=organisation_id, operation=operation, state=pending_state)
    items = list(pending.select_for_update(skip_locked=True, of=("self",)).order_by("pk")[:CHUNK_ITEMS])
    if not items:
        return _finish(operation, pending, undoes=undoes)
    if operation.state == BulkState.QUEUED:
        BulkOperation.objects.filter(organisation_id=organisation_id, pk=operation_id, state=BulkState.QUEUED).update(
            state=BulkState.RUNNING
        )
    _execute_chunk(operation, get_action(operation.action), items, undoes=undoes)
    return True


def get_operation(actor: Actor, operation_id: int) -> BulkOperation:
    """One's own; Administrators and Team leaders see everybody's once it has begun. Raises `NotFound`."""
    queryset = BulkOperation.objects.filter(organisation_id=actor.organisation_id, pk=operation_id)
    operation = queryset.select_related("membership__user").first()
    if operation is None:
        raise NotFound
    is_foreign = operation.membership_id != actor.membership_id
    if is_foreign and (not actor.can(Permission.MANAGE_PEOPLE) or operation.state == BulkState.DRAFT):
        raise NotFound
    return operation


def list_operations(actor: Actor, limit: int = 50) -> "QuerySet[BulkOperation]":
    """What was begun, newest first."""
    queryset = BulkOperation.objects.filter(organisation_id=actor.organisation_id).exclude(state=BulkState.DRAFT)
    if not actor.can(Permission.MANAGE_PEOPLE):
        queryset = queryset.filter(membership_id=actor.membership_id)
    return queryset.order_by("-created_at", "-pk")[:limit]


def undoable_operation_of_import(actor: Actor, import_id: int) -> int | None:
    """The id of what the wizard assigned in this import, while it can be undone; None when nothing was."""
    queryset = BulkOperation.objects.filter(
        organisation_id=actor.organisation_id, membership_id=actor.membership_id, query=f"import={import_id}"
    )
    return next((one.pk for one in queryset.order_by("pk") if can_undo(one)), None)


def count_items(operation: BulkOperation) -> ItemCounts:
    queryset = BulkItem.objects.filter(organisation_id=operation.organisation_id, operation=operation)
    by_state = dict(queryset.values_list("state").annotate(Count("pk")).order_by())
    return ItemCounts(**{one.value: by_state.get(one.value, 0) for one in ItemState})


def can_undo(operation: BulkOperation) -> bool:
    since = timezone.now() - timedelta(hours=UNDO_HOURS)
    finished = operation.finished_at
    return (
        operation.state == BulkState.DONE
        and get_action(operation.action).is_undoable
        and bool(finished and finished > since)
    )


def delete_stale_drafts() -> int:
    """Previews that nobody started. In the installation's scope."""
    old = BulkOperation.objects.filter(
        state=BulkState.DRAFT, created_at__lt=timezone.now() - timedelta(hours=DRAFT_HOURS)
    )
    return _delete_drafts(old)


def _delete_drafts(drafts: "QuerySet[BulkOperation]") -> int:
    """Held first, so that nobody starts one whose items are going."""
    ids = list(drafts.select_for_update(no_key=True).values_list("pk", flat=True))
    BulkItem.objects.filter(operation__in=ids).delete()
    return BulkOperation.objects.filter(pk__in=ids).delete()[0]


def _selected(actor: Actor, selection: Selection) -> "QuerySet[Administration]":
    if selection.query is not None:
        return apply_filters(actor, selection.query).order_by("pk")
    return visible_to(actor).filter(pk__in=list(selection.ids)).order_by("pk")


def _item(operation: BulkOperation, key: int, change: PlannedChange, values: Values) -> BulkItem:
    return BulkItem(
        organisation_id=operation.organisation_id,
        operation=operation,
        administration_id=key,
        state=ItemState.SKIPPED if change.reason_code else ItemState.WAITING,
        reason_code=change.reason_code or "",
        params=to_shape(values, BulkParameters),
        before=to_shape(change.before, BulkValues),
        after=to_shape(change.after, BulkValues),
    )


def _run_or_enqueue(operation: BulkOperation, pending: ItemState) -> None:
    waiting = operation.items.filter(organisation_id=operation.organisation_id, state=pending).count()
    if waiting > INLINE_ITEMS_MAX:
        enqueue("administrations.process_bulk", organisation_id=operation.organisation_id, operation_id=operation.pk)
        return
    while process_chunk(operation.organisation_id, operation.pk):
        pass


def _finish(operation: BulkOperation, pending: "QuerySet[BulkItem]", *, undoes: bool) -> bool:
    """Whoever finds nothing left closes it. Items that another worker holds are still pending: that one closes it."""
    if pending.exists():
        return False
    queryset = BulkOperation.objects.filter(organisation_id=operation.organisation_id, pk=operation.pk)
    if undoes:
        queryset.filter(state=BulkState.UNDOING).update(state=BulkState.UNDONE)
    else:
        queryset.filter(state__in=list(PENDING)).update(state=BulkState.DONE, finished_at=timezone.now())
    return False


def _execute_chunk(operation: BulkOperation, action: BulkAction, items: Sequence[BulkItem], *, undoes: bool) -> None:
    actor = _actor(operation)
    if actor is None or not actor.can(action.permission):
        unchanged_state = ItemState.KEPT if undoes else ItemState.SKIPPED
        _store(operation, [(item, unchanged_state, PlannedChange(CommonReason.NOT_ALLOWED)) for item in items])
        return
    visible = visible_to(actor).filter(pk__in=[item.administration_id for item in items]).order_by("pk")
    administrations = {one.pk: one for one in visible.select_for_update(of=("self",), no_key=True)}
    changes = (
        _plan_undo(actor, administrations, items) if undoes else _plan(actor, action, operation, administrations, items)
    )
    changed = {
        key: verdict.after for key, verdict in changes.items() if not verdict.reason_code or (undoes and verdict.after)
    }
    action.execute(actor, changed)
    _store(operation, [(item, *_result(changes.get(item.administration_id), undoes=undoes)) for item in items])
    if changed and (audit_action := action.audit_action_of(operation.params)):
        record(
            actor.organisation_id,
            actor.audit,
            BulkAuditAction.UNDONE if undoes else audit_action,
            subject=("bulk_operation", operation.pk, ""),
            details=_audit_details(operation, administrations, {key: changes[key] for key in changed}),
        )


def _audit_details(
    operation: BulkOperation, administrations: Mapping[int, Administration], changed: Mapping[int, PlannedChange]
) -> dict[str, object]:
    """Ids, parameters, and for few what was and is; of many each item keeps that itself."""
    details: dict[str, object] = {**mask_params(operation.params), "administrations": sorted(changed)}
    details.pop("problems", None)
    if len(changed) <= AUDITED_ITEMS_MAX:
        countries = {key: administrations[key].country for key in changed}
        details["before"] = {str(key): dict(mask_values(one.before, countries[key])) for key, one in changed.items()}
        details["after"] = {str(key): dict(mask_values(one.after, countries[key])) for key, one in changed.items()}
    return details


def _merged(params: BulkParameters, item_params: Values) -> BulkParameters:
    """The parameters of all items, with those of one."""
    return to_shape({**params, **item_params}, BulkParameters)


def _plan(
    actor: Actor,
    action: BulkAction,
    operation: BulkOperation,
    administrations: Mapping[int, Administration],
    items: Iterable[BulkItem],
) -> dict[int, PlannedChange]:
    params_by_id = {
        item.administration_id: _merged(operation.params, item.params)
        for item in items
        if item.administration_id in administrations
    }
    return action.plan(actor, list(administrations.values()), params_by_id)


def _plan_undo(
    actor: Actor, administrations: Mapping[int, Administration], items: Iterable[BulkItem]
) -> dict[int, PlannedChange]:
    people = snapshot.people_on(actor.organisation_id, administrations)
    not_offered = snapshot.archived_ids(actor.organisation_id, [item.before for item in items])
    live = (
        snapshot.live_members(actor.organisation_id)
        if any(one.restricted for one in administrations.values())
        else frozenset()
    )
    return {
        key: snapshot.plan_reversal(
            administrations[key], people.get(key, {}), (item.before, item.after), live, not_offered
        )
        for item in items
        if (key := item.administration_id) in administrations
    }


def _result(change: PlannedChange | None, *, undoes: bool) -> tuple[ItemState, PlannedChange]:
    if change is None:
        return (ItemState.KEPT if undoes else ItemState.SKIPPED), PlannedChange(CommonReason.NOT_FOUND)
    if undoes:
        return (ItemState.KEPT if change.reason_code else ItemState.UNDONE), PlannedChange(change.reason_code)
    return (ItemState.SKIPPED if change.reason_code else ItemState.CHANGED), change


_STORE = """
UPDATE administrations_bulk_item item
   SET state = done.state, reason_code = done.reason_code,
       before = coalesce(done.before, item.before), after = coalesce(done.after, item.after)
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[]) AS done(id, state, reason_code, before, after)
 WHERE item.organisation_id = %s AND item.id = done.id
"""


def _store(operation: BulkOperation, results: Sequence[tuple[BulkItem, ItemState, PlannedChange]]) -> None:
    """What really happened replaces what the preview foresaw."""
    rows = [
        (
            item.pk,
            state_now.value,
            str(change.reason_code or ""),
            Jsonb(to_json(change.before, BulkValues)) if state_now is ItemState.CHANGED else None,
            Jsonb(to_json(change.after, BulkValues)) if state_now is ItemState.CHANGED else None,
        )
        for item, state_now, change in results
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, [*map(list, zip(*rows, strict=True)), operation.organisation_id])


def _actor(operation: BulkOperation) -> Actor | None:
    """Who began it, with the role they have now but no more than they began with. None: no longer a member."""
    member = Membership.objects.filter(organisation_id=operation.organisation_id, pk=operation.membership_id or 0)
    user_id = member.values_list("user_id", flat=True).first()
    actor = resolve_actor(user_id, operation.organisation_id, operation.ip_address, Interface(operation.interface))
    if actor is None or actor.membership_id != operation.membership_id:
        return None
    return replace(actor, role=least_privileged(Role(operation.role), actor.role), name=operation.actor_name)
