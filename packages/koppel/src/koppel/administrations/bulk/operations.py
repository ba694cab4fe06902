"""Use cases of bulk work: preview an operation as a draft, start it once, undo it, discard a draft.

`execution` executes a started operation: a small one at once, a large one by a job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.administrations.bulk.actions import (
    BulkAction,
    PlannedChange,
    RawParameters,
    changed_names,
    get_action,
    merged_parameters,
    parse_parameters,
)
from koppel.administrations.bulk.assignment_notifications import notify_assigned
from koppel.administrations.bulk.execution import process_chunk
from koppel.administrations.bulk.queries import can_undo, get_operation
from koppel.administrations.bulk.skip_reasons import CommonReason
from koppel.administrations.errors import NoSuchAdministration
from koppel.administrations.list.query import ListQuery
from koppel.administrations.list.queryset import apply_filters
from koppel.administrations.models import (
    Administration,
    BulkItem,
    BulkOperation,
    BulkState,
    BulkValues,
    ItemState,
)
from koppel.kit.database.json_fields import to_shape
from koppel.kit.jobs import enqueue
from koppel.kit.web.parameters import ID_MAX
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Role, least_privileged

INLINE_ITEMS_MAX = 100
"""The most items of an operation that is executed before the response; a larger one is executed by a job."""
UNFINISHED_MAX = 3
"""The most simultaneous operations of one organisation."""
UNKNOWN_IDS_MAX = 100
"""The most selected ids that are no administration of the actor's, and are listed as not found: some may have
been erased or restricted since the list was opened.
"""
DRAFT_HOURS = 24
DRAFTS_OF_MEMBER_MAX, DRAFTS_OF_ORGANISATION_MAX = 30, 200
ABANDONED_MINUTES = 60
"""A preview that was not started after this time makes room for a new one, when there are too many."""


@dataclass(frozen=True)
class Selection:
    """The selected administrations: those with `ids`, or all that match `query`."""

    ids: Sequence[int] = ()
    query: ListQuery | None = None
    values_by_id: Mapping[int, RawParameters] = field(default_factory=dict)
    """Parameters that differ per administration, from a CSV."""


def get_allowed_action(actor: Actor, code: str) -> BulkAction[Any]:
    """Return the action if the actor may do it. Raises `Refused`.

    Call this before the selection is read, so that a person without permission learns nothing of it.
    """
    action = get_action(code)
    actor.require(action.permission)
    return action


def preview(
    actor: Actor, action_code: str, params: RawParameters, selection: Selection, *, query: str = ""
) -> BulkOperation:
    """Create a draft with the change of each administration, or the reason why it has none.

    `query` is the list's query string of the selection, stored for display. Raises `Refused`,
    `NoSuchAdministration` and `UnknownParameter`.
    """
    action = get_allowed_action(actor, action_code)
    if selection.ids and selection.query is not None:
        raise Refused(_("Specify administrations either by id or by a filter."))
    parsed = parse_parameters(action, params)
    # Where each item has values of its own, there need be none for all of them.
    has_own_values = action.reads_csv_values and selection.values_by_id and not params
    validated = parsed if has_own_values else action.validate(actor, parsed)
    administrations = _selected_administrations(actor, selection)
    _require_room_for_draft(actor)
    operation = _new_operation(
        actor, action_code, params=validated, has_item_values=bool(selection.values_by_id), query=query
    )
    items = _previewed_items(actor, action, operation, administrations, selection)
    operation.total = len(items)
    operation.save()
    BulkItem.objects.bulk_create(items, batch_size=2000)
    return operation


def _new_operation(actor: Actor, action_code: str, **values: Any) -> BulkOperation:
    return BulkOperation(
        organisation_id=actor.organisation_id,
        membership_id=actor.membership_id,
        actor_name=actor.name,
        ip_address=actor.ip_address,
        role=actor.role,
        interface=actor.interface,
        action=action_code,
        **values,
    )


def _previewed_items(
    actor: Actor,
    action: BulkAction[Any],
    operation: BulkOperation,
    administrations: Sequence[Administration],
    selection: Selection,
) -> list[BulkItem]:
    """Return an item for each selected administration, and for each id that is none of the actor's."""
    values_by_id = selection.values_by_id
    _require_few_unknown(administrations, selection)
    params_by_id = {
        administration.pk: merged_parameters(
            action, operation.params, values_by_id.get(administration.pk, {})
        )
        for administration in administrations
    }
    changes = action.plan(actor, administrations, params_by_id)
    return [
        _item(
            operation,
            administration_id,
            changes.get(administration_id, PlannedChange(CommonReason.NOT_FOUND)),
            values_by_id.get(administration_id, {}) if administration_id in changes else {},
        )
        for administration_id in dict.fromkeys([*params_by_id, *selection.ids])
    ]


def _require_few_unknown(administrations: Sequence[Administration], selection: Selection) -> None:
    unknown = len(set(selection.ids) - {administration.pk for administration in administrations})
    if unknown > UNKNOWN_IDS_MAX:
        raise Refused(
            _("%(count)s of the selected administrations do not exist.") % {"count": unknown}, field="ids"
        )


def start_operation(actor: Actor, operation_id: int) -> bool:
    """Start a previewed operation. Returns False if it was started already: by a double click, a second tab
    or a stale page. Raises `Refused` when others of the organisation are still running.

    It runs with the lesser role of the preview and the start, of which either may come from a limited token.
    """
    operation = get_operation(actor, operation_id)
    queryset = BulkOperation.objects.for_actor(actor).filter(pk=operation.pk)
    if operation.membership_id != actor.membership_id:
        raise NoSuchAdministration
    _require_permissions(actor, operation)
    _require_capacity(actor)
    updated_count = queryset.filter(state=BulkState.DRAFT).update(
        state=BulkState.QUEUED,
        started_at=timezone.now(),
        role=least_privileged(Role(operation.role), actor.role),
        interface=actor.interface,
        ip_address=actor.ip_address,
    )
    if not updated_count:
        return False
    operation.refresh_from_db(fields=["role", "interface", "ip_address"])
    _run_or_enqueue(operation, ItemState.WAITING)
    return True


def record_completed(
    actor: Actor, action_code: str, changes: Mapping[int, PlannedChange], *, query: str = ""
) -> BulkOperation:
    """Record a change that another use case made in this transaction as a completed operation, with a result
    per administration, so that it can be undone.
    """
    now = timezone.now()
    operation = _new_operation(
        actor,
        action_code,
        has_item_values=True,
        query=query,
        total=len(changes),
        state=BulkState.DONE,
        started_at=now,
        finished_at=now,
    )
    operation.save()
    items = [_item(operation, administration_id, change, {}) for administration_id, change in changes.items()]
    for item in items:
        item.state = ItemState.CHANGED
    BulkItem.objects.bulk_create(items, batch_size=2000)
    notify_assigned(operation)
    return operation


def undo(actor: Actor, operation_id: int) -> bool:
    """Undo the changes of an operation, except values changed since. Returns False if the undo already began.
    Raises `Refused`.
    """
    operation = get_operation(actor, operation_id)
    _require_permissions(actor, operation)
    if operation.state in (BulkState.UNDOING, BulkState.UNDONE):
        return False
    if not can_undo(operation):
        raise Refused(_("This can no longer be undone."))
    _require_capacity(actor)
    queryset = BulkOperation.objects.for_actor(actor).filter(pk=operation.pk, state=BulkState.DONE)
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


def _require_permissions(actor: Actor, operation: BulkOperation) -> None:
    """Require what each change of the operation needs: the draft may come from a time with more permissions,
    or from a token with more. Raises `NotAllowed`.
    """
    items = BulkItem.objects.for_actor(actor).filter(operation=operation)
    names = set(operation.params)
    for params, after in items.values_list("params", "after").iterator(2000):
        names |= {*params, *changed_names(after)}
    for permission in sorted(get_action(operation.action).permissions_for(names)):
        actor.require(permission)


def _require_capacity(actor: Actor) -> None:
    """Keep an organisation from occupying all workers. Raises `Refused`."""
    unfinished = [BulkState.QUEUED, BulkState.RUNNING, BulkState.UNDOING]
    if BulkOperation.objects.for_actor(actor).filter(state__in=unfinished).count() >= UNFINISHED_MAX:
        raise Refused(_("Other bulk work is still running. Start this when it is done."))


def _require_room_for_draft(actor: Actor) -> None:
    """Delete the oldest abandoned drafts where there are too many. Raises `Refused` when there are too few of
    them.
    """
    drafts = BulkOperation.objects.for_actor(actor).filter(state=BulkState.DRAFT)
    abandoned_before = timezone.now() - timedelta(minutes=ABANDONED_MINUTES)
    for limited, drafts_max in (
        (drafts.filter(membership_id=actor.membership_id), DRAFTS_OF_MEMBER_MAX),
        (drafts, DRAFTS_OF_ORGANISATION_MAX),
    ):
        surplus = limited.count() + 1 - drafts_max
        if surplus <= 0:
            continue
        abandoned = limited.filter(created_at__lt=abandoned_before).order_by("created_at", "pk")
        ids = list(abandoned.values_list("pk", flat=True)[:surplus])
        _delete_drafts(drafts.filter(pk__in=ids))
        if len(ids) < surplus:
            text = _("There are %(count)s previews that were not started. Start or discard some of them.")
            raise Refused(text % {"count": drafts_max})


def discard(actor: Actor, operation_id: int) -> None:
    """Delete a draft; an operation started meanwhile in another tab continues."""
    operation = get_operation(actor, operation_id)
    actor.require(get_action(operation.action).permission)
    queryset = BulkOperation.objects.for_actor(actor).filter(pk=operation.pk, state=BulkState.DRAFT)
    _delete_drafts(queryset)


def delete_stale_drafts() -> int:
    """Delete previews that were never started. In the installation's scope."""
    old = BulkOperation.objects.filter(
        state=BulkState.DRAFT, created_at__lt=timezone.now() - timedelta(hours=DRAFT_HOURS)
    )
    return _delete_drafts(old)


def _delete_drafts(drafts: "QuerySet[BulkOperation]") -> int:
    """Delete drafts with their items. The drafts are locked first, so that none is started meanwhile."""
    ids = list(drafts.select_for_update(no_key=True).values_list("pk", flat=True))
    BulkItem.objects.filter(operation__in=ids).delete()
    return BulkOperation.objects.filter(pk__in=ids).delete()[0]


def _selected_administrations(actor: Actor, selection: Selection) -> list[Administration]:
    """Return the selected ones that the actor may see. Raises `NoSuchAdministration` for an impossible id,
    `Refused` for a selection of nothing.
    """
    if selection.query is not None:
        administrations = list(apply_filters(actor, selection.query).order_by("pk"))
    elif any(not 0 < administration_id <= ID_MAX for administration_id in selection.ids):
        raise NoSuchAdministration
    else:
        visible = Administration.objects.visible_to(actor)
        administrations = list(visible.filter(pk__in=list(selection.ids)).order_by("pk"))
    if not administrations and not selection.ids:
        raise Refused(_("Tick at least one administration."))
    return administrations


def _item(
    operation: BulkOperation, administration_id: int, change: PlannedChange, values: RawParameters
) -> BulkItem:
    return BulkItem(
        organisation_id=operation.organisation_id,
        operation=operation,
        administration_id=administration_id,
        state=ItemState.SKIPPED if change.reason_code else ItemState.WAITING,
        reason_code=change.reason_code or "",
        params=dict(values),
        before=to_shape(change.before, BulkValues),
        after=to_shape(change.after, BulkValues),
    )


def _run_or_enqueue(operation: BulkOperation, pending: ItemState) -> None:
    waiting = operation.items.filter(organisation_id=operation.organisation_id, state=pending).count()
    if waiting > INLINE_ITEMS_MAX:
        enqueue(
            "administrations.process_bulk",
            organisation_id=operation.organisation_id,
            operation_id=operation.pk,
        )
        return
    while process_chunk(operation.organisation_id, operation.pk):
        pass
