"""`koppel administrations`: a command for each bulk action, on some administrations or on all that match.

The commands are made from the registered actions, with an option for each field of an action's form.
"""

from collections.abc import Collection, Mapping
from inspect import Parameter, Signature
from typing import Annotated, Any

import typer

from koppel.administrations import bulk
from koppel.administrations.bulk import BulkAction, Selection, bulk_actions, parse_bulk_filter
from koppel.administrations.commands.arguments import DryRun, Everything, Ids, Matching
from koppel.administrations.models import Administration, BulkItem, BulkOperation
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_record
from koppel.kit.web.forms import IdsField
from koppel.kit.web.parameters import ID_MAX
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.roles import Actor

PROBLEMS_SHOWN_MAX = 20
SELECTION = (
    Parameter("ids", Parameter.KEYWORD_ONLY, default=None, annotation=Ids),
    Parameter("matching", Parameter.KEYWORD_ONLY, default=None, annotation=Matching),
    Parameter("everything", Parameter.KEYWORD_ONLY, default=False, annotation=Everything),
)
CIRCUMSTANCES = (
    Parameter("dry_run", Parameter.KEYWORD_ONLY, default=False, annotation=DryRun),
    Parameter("person", Parameter.KEYWORD_ONLY, default="", annotation=ActAs),
    Parameter("organisation", Parameter.KEYWORD_ONLY, default="", annotation=InOrganisation),
    Parameter("as_json", Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
)


def bulk_commands() -> typer.Typer:
    """Return the commands of all registered actions."""
    app = typer.Typer(no_args_is_help=True)
    for action in bulk_actions.values():
        _add_command(app, action)
    return app


def _add_command(app: typer.Typer, action: BulkAction[Any]) -> None:
    def run(
        *,
        ids: list[int] | None,
        matching: str | None,
        everything: bool,
        dry_run: bool,
        person: str,
        organisation: str,
        as_json: bool,
        **options: Any,
    ) -> None:
        params = _parameters(action, options)
        with acting_as(person, organisation) as actor:
            selection = _selection(actor, action.code, ids, matching, everything=everything)
            run_action(actor, action.code, params, selection, dry_run=dry_run, as_json=as_json)

    # typer reads the options of a command from the signature of its function.
    run.__signature__ = Signature([*SELECTION, *_options(action), *CIRCUMSTANCES])  # type: ignore[attr-defined]
    run.__annotations__ = {}
    app.command(action.command, help=action.command_help)(run)


def _options(action: BulkAction[Any]) -> list[Parameter]:
    """Return an option for each field with help: ids may be repeated, anything else is a text."""
    options = []
    for name, text in action.form.option_help.items():
        is_repeated = isinstance(action.form.base_fields[name], IdsField)
        annotation: Any = list[str] if is_repeated else str
        default = None if is_repeated else ""
        option = Annotated[annotation, typer.Option(help=text)]
        options.append(Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=option))
    return options


def _parameters(action: BulkAction[Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters that the options give. Raises `CommandError`."""
    form = action.form(options)
    if not form.is_valid():
        name, messages = next(iter(form.errors.items()))
        raise CommandError(f"--{name}: {' '.join(map(str, messages))}")
    return form.parameters


def _selection(
    actor: Actor, action: str, ids: list[int] | None, matching: str | None, *, everything: bool
) -> Selection:
    """Select by ids, by a filter that narrows down, or by --all. Checks the permission before anything is
    read.
    """
    bulk.get_allowed_action(actor, action)
    if sum((bool(ids), bool(matching), everything)) > 1:
        raise CommandError(
            "Name administrations by id, or all that match with --filter, or --all; one of the three."
        )
    if everything:
        return Selection(query=parse_bulk_filter(""))
    if ids and matching is None:
        _require_visible(actor, ids)
        return Selection(ids=ids)
    if not matching:
        raise CommandError(
            "Name administrations by id, or all that match with --filter; --all if you mean all of them."
        )
    return Selection(query=parse_bulk_filter(matching))


def _require_visible(actor: Actor, ids: Collection[int]) -> None:
    """Raise `CommandError` for ids of administrations that the actor does not see."""
    possible_ids = [administration_id for administration_id in ids if 0 < administration_id <= ID_MAX]
    visible = Administration.objects.visible_to(actor).filter(pk__in=possible_ids)
    if missing := set(ids) - set(visible.values_list("pk", flat=True)):
        text = ", ".join(map(str, sorted(missing)[:PROBLEMS_SHOWN_MAX]))
        raise CommandError(f"Nothing was changed. No administration found with these ids: {text}.")


def run_action(
    actor: Actor,
    action: str,
    params: Mapping[str, Any],
    selection: Selection,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    draft = bulk.preview(actor, action, params, selection)
    if not dry_run:
        bulk.start_operation(actor, draft.pk)
    print_operation(actor, draft.pk, as_json=as_json)


def print_operation(actor: Actor, operation_id: int, *, as_json: bool) -> None:
    """Print how many of each, and why some were left; many are done by a worker, so `state` may say
    queued.
    """
    operation = bulk.get_operation(actor, operation_id)
    counts = bulk.count_items(operation)
    row = {
        "operation": operation.pk,
        "state": operation.state,
        "would_change": counts.waiting,
        "changed": counts.changed,
        "skipped": counts.skipped,
        "undone": counts.undone,
        "kept": counts.kept,
        "skip_reasons": _skip_reasons(operation),
    }
    print_record(row, as_json=as_json)


def _skip_reasons(operation: BulkOperation) -> dict[str, str]:
    items = (
        BulkItem.objects.in_organisation(operation.organisation_id)
        .filter(operation=operation)
        .exclude(reason_code="")
    )
    return {
        str(item.administration_id): bulk.describe_reason(item.reason_code)
        for item in items.order_by("pk")[:100]
    }
