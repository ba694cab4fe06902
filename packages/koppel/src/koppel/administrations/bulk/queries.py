"""Queries of bulk operations and the results of their items."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, QuerySet
from django.utils import timezone

from koppel.administrations.bulk.actions import get_action
from koppel.administrations.errors import NoSuchAdministration
from koppel.administrations.models import (
    Administration,
    BulkItem,
    BulkOperation,
    BulkState,
    ItemState,
)
from koppel.organisations.roles import Actor, Permission

UNDO_HOURS = 24


@dataclass(frozen=True)
class ItemCounts:
    """Numbers of an operation's items, by state."""

    waiting: int
    changed: int
    skipped: int
    undone: int
    kept: int

    @property
    def total(self) -> int:
        return self.waiting + self.changed + self.skipped + self.undone + self.kept


def get_operation(actor: Actor, operation_id: int) -> BulkOperation:
    """Return an operation that the actor may see: an own one; as Administrator or Team leader any that was
    started.

    Raises `NoSuchAdministration`.
    """
    queryset = BulkOperation.objects.for_actor(actor).filter(pk=operation_id)
    operation = queryset.select_related("membership__user").first()
    if operation is None:
        raise NoSuchAdministration
    is_foreign = operation.membership_id != actor.membership_id
    if is_foreign and (not actor.can(Permission.MANAGE_PEOPLE) or operation.state == BulkState.DRAFT):
        raise NoSuchAdministration
    return operation


def list_operations(actor: Actor, limit: int = 50) -> "QuerySet[BulkOperation]":
    """List the operations that were started, newest first."""
    queryset = BulkOperation.objects.for_actor(actor).exclude(state=BulkState.DRAFT)
    if not actor.can(Permission.MANAGE_PEOPLE):
        queryset = queryset.filter(membership_id=actor.membership_id)
    return queryset.order_by("-created_at", "-pk")[:limit]


def list_drafts(actor: Actor) -> "QuerySet[BulkOperation]":
    """List the actor's own previews that were not started, newest first."""
    queryset = BulkOperation.objects.for_actor(actor).filter(state=BulkState.DRAFT)
    return queryset.filter(membership_id=actor.membership_id).order_by("-created_at", "-pk")


def undoable_operation_of_import(actor: Actor, import_id: int) -> int | None:
    """Return the id of the operation with this import's assignments, while it can be undone; None: none."""
    queryset = BulkOperation.objects.for_actor(actor).filter(
        membership_id=actor.membership_id, query=f"import={import_id}"
    )
    return next((operation.pk for operation in queryset.order_by("pk") if can_undo(operation)), None)


def readable_items(actor: Actor, operation: BulkOperation) -> "QuerySet[BulkItem]":
    """Return the items that the actor may read. Of another person's operation these are the items of
    administrations that the actor may see.
    """
    items = BulkItem.objects.in_organisation(operation.organisation_id).filter(operation=operation)
    if _is_own(actor, operation):
        return items
    visible = Administration.objects.visible_to(actor)
    return items.filter(administration_id__in=visible.values("pk"))


def may_read_params(actor: Actor, operation: BulkOperation) -> bool:
    """Return whether the actor may read the parameters and the problems of the operation's CSV: not while
    some of another person's items are hidden, because they hold for all of them.
    """
    items = BulkItem.objects.in_organisation(operation.organisation_id).filter(operation=operation)
    return _is_own(actor, operation) or readable_items(actor, operation).count() == items.count()


def _is_own(actor: Actor, operation: BulkOperation) -> bool:
    """Return whether the actor made the operation. An undo makes its actor the operation's, so an undone one
    is nobody's own.
    """
    return operation.membership_id == actor.membership_id and operation.undone_at is None


def count_items(operation: BulkOperation) -> ItemCounts:
    queryset = BulkItem.objects.in_organisation(operation.organisation_id).filter(operation=operation)
    by_state = dict(queryset.values_list("state").annotate(Count("pk")).order_by())
    return ItemCounts(**{state.value: by_state.get(state.value, 0) for state in ItemState})


def can_undo(operation: BulkOperation) -> bool:
    since = timezone.now() - timedelta(hours=UNDO_HOURS)
    finished = operation.finished_at
    return (
        operation.state == BulkState.DONE
        and get_action(operation.action).is_undoable
        and bool(finished and finished > since)
    )
