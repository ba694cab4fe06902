"""Execution and undo of a bulk operation, in chunks.

Each chunk is one transaction: it locks its items, plans them again on current data, applies the changes and
stores a result per item. If a worker dies, its chunk rolls back; two workers take different chunks, so no
item is processed twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone
from psycopg.types.json import Jsonb

from koppel.administrations.audit_actions import BulkAuditAction
from koppel.administrations.bulk.actions import (
    BulkAction,
    PlannedChange,
    changed_names,
    get_action,
    merged_parameters,
)
from koppel.administrations.bulk.assignment_notifications import notify_assigned
from koppel.administrations.bulk.messages import mask_values
from koppel.administrations.bulk.reversal import plan_reversals
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.models import (
    Administration,
    BulkItem,
    BulkOperation,
    BulkState,
    BulkValues,
    ItemState,
)
from koppel.audit.models import Interface
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.kit.database.json_fields import to_json
from koppel.organisations.access.actors import resolve_actor
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Role, least_privileged

CHUNK_ITEMS = 500
AUDITED_ITEMS_MAX = 20
PENDING = (BulkState.QUEUED, BulkState.RUNNING)


def process_chunk(organisation_id: int, operation_id: int) -> bool:
    """Process one chunk in its own transaction, in the organisation's scope. Returns whether more may
    remain.
    """
    operation = BulkOperation.objects.in_organisation(organisation_id).filter(pk=operation_id).first()
    if operation is None or operation.state not in (*PENDING, BulkState.UNDOING):
        return False
    undoes = operation.state == BulkState.UNDOING
    pending_state = ItemState.CHANGED if undoes else ItemState.WAITING
    pending = BulkItem.objects.in_organisation(organisation_id).filter(
        operation=operation, state=pending_state
    )
    items = list(pending.select_for_update(skip_locked=True, of=("self",)).order_by("pk")[:CHUNK_ITEMS])
    if not items:
        _finish(operation, pending, undoes=undoes)
        return False
    if operation.state == BulkState.QUEUED:
        BulkOperation.objects.in_organisation(organisation_id).filter(
            pk=operation_id, state=BulkState.QUEUED
        ).update(state=BulkState.RUNNING)
    _execute_chunk(operation, get_action(operation.action), items, undoes=undoes)
    return True


def _finish(operation: BulkOperation, pending: "QuerySet[BulkItem]", *, undoes: bool) -> None:
    """Close the operation when no item is pending. Items that another worker holds are still pending: that
    worker closes it.
    """
    if pending.exists():
        return
    queryset = BulkOperation.objects.in_organisation(operation.organisation_id).filter(pk=operation.pk)
    if undoes:
        queryset.filter(state=BulkState.UNDOING).update(state=BulkState.UNDONE)
    else:
        is_done = queryset.filter(state__in=PENDING).update(state=BulkState.DONE, finished_at=timezone.now())
        if is_done:
            notify_assigned(operation)


def _execute_chunk(
    operation: BulkOperation, action: BulkAction[Any], items: Sequence[BulkItem], *, undoes: bool
) -> None:
    actor = _actor(operation)
    if actor is None or not actor.can(action.permission):
        unchanged_state = ItemState.KEPT if undoes else ItemState.SKIPPED
        _store(
            operation, [(item, unchanged_state, PlannedChange(CommonReason.NOT_ALLOWED)) for item in items]
        )
        return
    visible = (
        Administration.objects.visible_to(actor)
        .filter(pk__in=[item.administration_id for item in items])
        .order_by("pk")
    )
    administrations = {
        administration.pk: administration
        for administration in visible.select_for_update(of=("self",), no_key=True)
    }
    changes = (
        plan_reversals(actor, administrations, items)
        if undoes
        else _plan(actor, action, operation, administrations, items)
    )
    changed = {
        administration_id: change.after
        for administration_id, change in changes.items()
        if not change.reason_code or (undoes and change.after)
    }
    for administration_id, values in list(changed.items()):
        if not action.may_change(actor, {*operation.params, *changed_names(values)}):
            del changed[administration_id]
            changes[administration_id] = PlannedChange(CommonReason.NOT_ALLOWED)
    action.execute(actor, changed)
    _store(
        operation, [(item, *_result(changes.get(item.administration_id), undoes=undoes)) for item in items]
    )
    if changed and (audit_action := action.audit_action_of(operation.params)):
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            BulkAuditAction.UNDONE if undoes else audit_action,
            subject=Subject(SubjectKind.BULK_OPERATION, operation.pk),
            details=_audit_details(
                action.public_parameters(operation.params),
                administrations,
                {administration_id: changes[administration_id] for administration_id in changed},
            ),
        )


def _audit_details(
    params: Mapping[str, object],
    administrations: Mapping[int, Administration],
    changed: Mapping[int, PlannedChange],
) -> dict[str, object]:
    """Return ids and parameters; for a small operation also before and after, which the items of a large one
    hold.
    """
    details: dict[str, object] = {**params, "administrations": sorted(changed)}
    if len(changed) <= AUDITED_ITEMS_MAX:
        countries = {key: administrations[key].country for key in changed}
        details["before"] = {
            str(key): dict(mask_values(item.before, countries[key])) for key, item in changed.items()
        }
        details["after"] = {
            str(key): dict(mask_values(item.after, countries[key])) for key, item in changed.items()
        }
    return details


def _plan(
    actor: Actor,
    action: BulkAction[Any],
    operation: BulkOperation,
    administrations: Mapping[int, Administration],
    items: Iterable[BulkItem],
) -> dict[int, PlannedChange]:
    params_by_id = {
        item.administration_id: merged_parameters(action, operation.params, item.params)
        for item in items
        if item.administration_id in administrations
    }
    return action.plan(actor, list(administrations.values()), params_by_id)


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
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::jsonb[]) AS done(id, state, reason_code,
    before, after)
 WHERE item.organisation_id = %s AND item.id = done.id
"""


def _store(operation: BulkOperation, results: Sequence[tuple[BulkItem, ItemState, PlannedChange]]) -> None:
    """Replace the previewed change by the one applied."""
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
    """Return the actor who started the operation, with the lower of the roles then and now; None if no longer
    a member.
    """
    member = Membership.objects.in_organisation(operation.organisation_id).filter(
        pk=operation.membership_id or 0
    )
    user_id = member.values_list("user_id", flat=True).first()
    actor = resolve_actor(
        user_id, operation.organisation_id, operation.ip_address, Interface(operation.interface)
    )
    if actor is None or actor.membership_id != operation.membership_id:
        return None
    return replace(actor, role=least_privileged(Role(operation.role), actor.role), name=operation.actor_name)
