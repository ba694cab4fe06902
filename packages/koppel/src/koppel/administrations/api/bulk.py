"""Bulk work over REST: preview, start, follow, undo."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Query, Router, Schema, Status

from koppel.administrations import bulk
from koppel.administrations.bulk import Selection, bulk_actions, get_action, parse_bulk_filter
from koppel.administrations.inputs import BulkInput
from koppel.administrations.models import Administration, BulkItem, BulkOperation, BulkValues, ItemState
from koppel.organisations.requests import AuthenticatedRequest
from koppel.organisations.roles import Actor

router = Router()
LIMIT_MAX = 1000


class CountsOut(Schema):
    waiting: int
    changed: int
    skipped: int
    undone: int
    kept: int


class OperationOut(Schema):
    """`state`: draft, queued, running, done, undoing, undone. `can_undo`: for 24 hours, assignments and
    settings.

    `params` is without a number, which may be a person's: each item has its own. `has_item_values`: each item
    has parameters of its own, from a CSV or the import. `csv_problems`: the first lines of that CSV that
    could not be used (number, text, reason), of `csv_problem_count`. `params` and `csv_problems` are empty
    for another person's operation on administrations that you may not see.
    """

    id: int
    action: str
    params: dict[str, Any]
    has_item_values: bool
    csv_problems: list[tuple[int, str, str]]
    csv_problem_count: int
    state: str
    total: int
    counts: CountsOut
    can_undo: bool
    actor: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.get("", response=list[OperationOut])
def list_operations(request: AuthenticatedRequest) -> list[OperationOut]:
    """List the bulk operations that were started, newest first; Administrators and Team leaders see
    everybody's.
    """
    return [_out(request.actor, operation) for operation in bulk.list_operations(request.actor)]


@router.post("", response={201: OperationOut})
def preview_operation(request: AuthenticatedRequest, payload: BulkInput) -> Status[OperationOut]:
    """Preview a bulk operation: nothing changes before it is started."""
    bulk.get_allowed_action(request.actor, payload.action)
    selection = Selection(
        ids=payload.ids, query=None if payload.filter is None else parse_bulk_filter(payload.filter)
    )
    draft = bulk.preview(request.actor, payload.action, payload.params, selection, query=payload.filter or "")
    if payload.start:
        bulk.start_operation(request.actor, draft.pk)
    return Status(201, _reload(request.actor, draft.pk))


class ActionOut(Schema):
    """A bulk action: its word in `action`, and the names of its `params`."""

    action: str
    label: str
    params: list[str]
    is_undoable: bool


@router.get("/actions", response=list[ActionOut])
def list_actions(request: AuthenticatedRequest) -> list[ActionOut]:
    """List the bulk actions that your role allows, with the parameters of each."""
    return [
        ActionOut(
            action=action.code,
            label=str(action.label),
            params=list(action.parameter_names),
            is_undoable=action.is_undoable,
        )
        for action in bulk_actions.values()
        if request.actor.can(action.permission)
    ]


@router.get("/{int:operation_id}", response=OperationOut)
def get_operation(request: AuthenticatedRequest, operation_id: int) -> OperationOut:
    """Show a bulk operation with its progress or result."""
    return _reload(request.actor, operation_id)


class ItemOut(Schema):
    """`state`: waiting, changed, skipped, undone, kept. `reason_code` is a stable word, `message` its
    text.
    """

    administration: int
    state: str
    reason_code: str
    message: str
    before: dict[str, Any]
    after: dict[str, Any]


@router.get("/{int:operation_id}/items", response=list[ItemOut])
def list_items(
    request: AuthenticatedRequest,
    operation_id: int,
    state: ItemState | None = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 1000,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[ItemOut]:
    """List the result for each administration; of another person's operation, for those that you may see."""
    operation = bulk.get_operation(request.actor, operation_id)
    queryset = bulk.readable_items(request.actor, operation).order_by("pk")
    if state:
        queryset = queryset.filter(state=state.value)
    page = list(queryset[offset : offset + limit])
    visible = Administration.objects.visible_to(request.actor).filter(
        pk__in=[bulk_item.administration_id for bulk_item in page]
    )
    countries = dict(visible.values_list("pk", "country"))

    def visible_values(item: BulkItem, values: BulkValues) -> dict[str, Any]:
        """Return nothing of an administration that the reader may not see."""
        country = countries.get(item.administration_id)
        return {} if country is None else dict(bulk.mask_values(values, country))

    return [
        ItemOut(
            administration=bulk_item.administration_id,
            state=bulk_item.state,
            reason_code=bulk_item.reason_code,
            message=bulk.describe_reason(bulk_item.reason_code),
            before=visible_values(bulk_item, bulk_item.before),
            after=visible_values(bulk_item, bulk_item.after),
        )
        for bulk_item in page
    ]


@router.post("/{int:operation_id}/start", response=OperationOut)
def start_operation(request: AuthenticatedRequest, operation_id: int) -> OperationOut:
    """Start a previewed operation. Starting it again changes nothing."""
    bulk.start_operation(request.actor, operation_id)
    return _reload(request.actor, operation_id)


@router.post("/{int:operation_id}/undo", response=OperationOut)
def undo_operation(request: AuthenticatedRequest, operation_id: int) -> OperationOut:
    """Undo the operation, except for values that were changed since."""
    bulk.undo(request.actor, operation_id)
    return _reload(request.actor, operation_id)


def _reload(actor: Actor, operation_id: int) -> OperationOut:
    return _out(actor, bulk.get_operation(actor, operation_id))


def _out(actor: Actor, operation: BulkOperation) -> OperationOut:
    action, counts = get_action(operation.action), bulk.count_items(operation)
    shows_params = bulk.may_read_params(actor, operation)
    return OperationOut(
        id=operation.pk,
        action=action.code,
        params=action.public_parameters(operation.params) if shows_params else {},
        has_item_values=operation.has_item_values,
        csv_problems=operation.csv_problems if shows_params else [],
        csv_problem_count=operation.csv_problem_count if shows_params else 0,
        state=operation.state,
        total=operation.total,
        counts=CountsOut(
            waiting=counts.waiting,
            changed=counts.changed,
            skipped=counts.skipped,
            undone=counts.undone,
            kept=counts.kept,
        ),
        can_undo=bulk.can_undo(operation),
        actor=operation.actor_name,
        created_at=operation.created_at,
        started_at=operation.started_at,
        finished_at=operation.finished_at,
    )
