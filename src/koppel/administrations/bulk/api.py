"""Bulk work over REST: preview, start, follow, undo."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Query, Router, Schema, Status

from koppel.administrations.bulk import operations, words
from koppel.administrations.bulk.acts import Values, act_named
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.bulk.selecting import asked_for_bulk
from koppel.administrations.models import BulkItem, BulkOperation, ItemState
from koppel.administrations.scope import visible_to
from koppel.kit.schemas import Input
from koppel.organisations.policy import Actor
from koppel.web.doors import MemberRequest

router = Router()
LIMIT_MAX = 1000


class CountsOut(Schema):
    waiting: int
    changed: int
    skipped: int
    undone: int
    kept: int


class OperationOut(Schema):
    """`state`: draft, queued, running, done, undoing, undone. `can_undo`: for 24 hours, assignments and settings.

    `asked` is without a number, which may be a person's: each item tells it."""

    id: int
    act: str
    asked: dict[str, Any]
    state: str
    total: int
    counts: CountsOut
    can_undo: bool
    actor: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class OperationIn(Input):
    """`act`: change, activate, deactivate, sync, star, unstar. On `ids`, or with `filter` (the list's address bar; '' is
    everything) on all that match. An unknown filter or value is refused, and a part that narrows nothing down. `asked`:
    parameters of the act. `start` false: only a preview."""

    act: str
    asked: dict[str, Any] = {}
    ids: list[int] = []
    filter: str | None = None
    start: bool = False


@router.get("", response=list[OperationOut])
def listing(request: MemberRequest) -> list[OperationOut]:
    """What was begun, newest first; Administrators and Team leaders see everybody's."""
    return [_out(one) for one in operations.operations_of(request.actor)]


@router.post("", response={201: OperationOut})
def make(request: MemberRequest, given: OperationIn) -> Status[OperationOut]:
    """A preview: nothing changes before it is started."""
    operations.allowed_act(request.actor, given.act)
    selection = Selection(ids=given.ids, asked=None if given.filter is None else asked_for_bulk(given.filter))
    draft = operations.preview(request.actor, given.act, given.asked, selection, source=given.filter or "")
    if given.start:
        operations.start(request.actor, draft.pk)
    return Status(201, _again(request.actor, draft.pk))


@router.get("/{int:operation_id}", response=OperationOut)
def one(request: MemberRequest, operation_id: int) -> OperationOut:
    """How far it is, or what it did."""
    return _again(request.actor, operation_id)


class ItemOut(Schema):
    """`state`: waiting, changed, skipped, undone, kept. `why` is a stable word, `sentence` its text."""

    administration: int
    state: str
    why: str
    sentence: str
    before: dict[str, Any]
    after: dict[str, Any]


@router.get("/{int:operation_id}/items", response=list[ItemOut])
def items(
    request: MemberRequest,
    operation_id: int,
    state: ItemState | None = None,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 1000,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[ItemOut]:
    """A result for each administration."""
    operation = operations.operation_for(request.actor, operation_id)
    found = BulkItem.objects.filter(organisation_id=operation.organisation_id, operation=operation).order_by("pk")
    if state:
        found = found.filter(state=state.value)
    page = list(found[offset : offset + limit])
    visible = visible_to(request.actor).filter(pk__in=[each.administration_id for each in page])
    countries = dict(visible.values_list("pk", "country"))

    def shown(each: BulkItem, values: Values) -> dict[str, Any]:
        """Nothing of an administration that the reader may not see."""
        country = countries.get(each.administration_id)
        return {} if country is None else dict(words.shown(values, country))

    return [
        ItemOut(
            administration=each.administration_id,
            state=each.state,
            why=each.why,
            sentence=words.why(each.why),
            before=shown(each, each.before),
            after=shown(each, each.after),
        )
        for each in page
    ]


@router.post("/{int:operation_id}/start", response=OperationOut)
def start(request: MemberRequest, operation_id: int) -> OperationOut:
    """Once; a second time changes nothing."""
    operations.start(request.actor, operation_id)
    return _again(request.actor, operation_id)


@router.post("/{int:operation_id}/undo", response=OperationOut)
def undo(request: MemberRequest, operation_id: int) -> OperationOut:
    """Takes back what nobody has changed since."""
    operations.undo(request.actor, operation_id)
    return _again(request.actor, operation_id)


def _again(actor: Actor, operation_id: int) -> OperationOut:
    return _out(operations.operation_for(actor, operation_id))


def _out(operation: BulkOperation) -> OperationOut:
    counts = operations.counts_of(operation)
    return OperationOut(
        id=operation.pk,
        act=act_named(operation.act).key,
        asked=dict(words.asked_shown(operation.asked)),
        state=operation.state,
        total=operation.total,
        counts=CountsOut(
            waiting=counts.waiting,
            changed=counts.changed,
            skipped=counts.skipped,
            undone=counts.undone,
            kept=counts.kept,
        ),
        can_undo=operations.can_undo(operation),
        actor=operation.actor_name,
        created_at=operation.created_at,
        started_at=operation.started_at,
        finished_at=operation.finished_at,
    )
