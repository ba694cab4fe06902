"""One action on many administrations: a preview, then a job with a result for each, then perhaps an undo.

Guarantees that an operation does what its preview showed, and only to administrations that the actor may
change; that a killed operation continues where it stopped, without doing anything twice; and that an undo
restores only values that have not changed since.

Begin with `operations`; `execution` executes them, `reversal` plans the undo, `actions` defines an action.
"""

from koppel.administrations.bulk.action_form import ActionForm, Choices
from koppel.administrations.bulk.actions import (
    BulkAction,
    NoParameters,
    Placement,
    PlannedChange,
    RawParameters,
    bulk_actions,
    get_action,
)
from koppel.administrations.bulk.bar import Bar, load_bar
from koppel.administrations.bulk.csv_import import read_changes
from koppel.administrations.bulk.execution import process_chunk
from koppel.administrations.bulk.messages import (
    NameLookup,
    describe_assignments,
    describe_changes,
    describe_problems,
    describe_reason,
    list_skip_reasons,
    mask_values,
)
from koppel.administrations.bulk.operations import (
    Selection,
    delete_stale_drafts,
    discard,
    get_allowed_action,
    preview,
    record_completed,
    start_operation,
    undo,
)
from koppel.administrations.bulk.queries import (
    UNDO_HOURS,
    ItemCounts,
    can_undo,
    count_items,
    get_operation,
    list_drafts,
    list_operations,
    may_read_params,
    readable_items,
    undoable_operation_of_import,
)
from koppel.administrations.bulk.selection_filter import parse_bulk_filter
from koppel.administrations.bulk.skip_reasons import NUMBER_REASONS, BulkReason, CommonReason
from koppel.administrations.bulk.standard_actions import STANDARD_ACTIONS

__all__ = [
    "NUMBER_REASONS",
    "STANDARD_ACTIONS",
    "UNDO_HOURS",
    "ActionForm",
    "Bar",
    "BulkAction",
    "BulkReason",
    "Choices",
    "CommonReason",
    "ItemCounts",
    "NameLookup",
    "NoParameters",
    "Placement",
    "PlannedChange",
    "RawParameters",
    "Selection",
    "bulk_actions",
    "can_undo",
    "count_items",
    "delete_stale_drafts",
    "describe_assignments",
    "describe_changes",
    "describe_problems",
    "describe_reason",
    "discard",
    "get_action",
    "get_allowed_action",
    "get_operation",
    "list_drafts",
    "list_operations",
    "list_skip_reasons",
    "load_bar",
    "mask_values",
    "may_read_params",
    "parse_bulk_filter",
    "preview",
    "process_chunk",
    "read_changes",
    "readable_items",
    "record_completed",
    "start_operation",
    "undo",
    "undoable_operation_of_import",
]
