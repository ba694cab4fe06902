"""`koppel administrations`: assign, activate, restrict and set administrations; bulk work as in the list."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.administrations import bulk, restriction, services
from koppel.administrations.access import administration_for
from koppel.administrations.bulk import Selection, parse_bulk_filter
from koppel.administrations.commands.arguments import AdministrationId, DryRun, Everything, Ids, Matching
from koppel.administrations.commands.list import settings_row
from koppel.administrations.inputs import RestrictionInput, SettingsInput
from koppel.administrations.models import Administration, BulkItem, BulkOperation
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.files import read_table_file
from koppel.kit.cli.output import AsJson, print_record
from koppel.kit.web.parameters import ID_MAX, id_of
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.roles import Actor, Permission

app = typer.Typer(no_args_is_help=True)
PROBLEMS_SHOWN_MAX = 20


@app.command("assign")
def assign(
    ids: Ids = None,
    matching: Matching = None,
    everything: Everything = False,
    division: Annotated[str, typer.Option(help="Id of the division, or 'none'.")] = "",
    template: Annotated[str, typer.Option(help="Id of the template, or 'none'.")] = "",
    add: Annotated[list[int] | None, typer.Option(help="Id of a membership to add; may be repeated.")] = None,
    remove: Annotated[
        list[int] | None, typer.Option(help="Id of a membership to remove; may be repeated.")
    ] = None,
    sector: Annotated[str, typer.Option(help="Letter of the sector.")] = "",
    dry_run: DryRun = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Assign division, template, people and sector. People are added; `undo` reverts it for 24 hours."""
    params: dict[str, Any] = {"add": add or [], "remove": remove or []}
    for key, text in (("division", division), ("template", template)):
        if text:
            params[key] = None if text == "none" else _id(text)
    if sector:
        params["sector"] = sector
    with acting_as(person, organisation) as actor:
        selection = _selection(actor, "change", ids, matching, everything=everything)
        _run_action(actor, "change", params, selection, dry_run=dry_run, as_json=as_json)


@app.command("activate")
def activate(
    ids: Ids = None,
    matching: Matching = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Let deactivated administrations sync again."""
    with acting_as(person, organisation) as actor:
        selection = _selection(actor, "activate", ids, matching, everything=everything)
        _run_action(actor, "activate", {}, selection, dry_run=dry_run, as_json=as_json)


@app.command("deactivate")
def deactivate(
    ids: Ids = None,
    matching: Matching = None,
    everything: Everything = False,
    reason: Annotated[str, typer.Option(help="Reason, stored with it.")] = "",
    on: Annotated[str, typer.Option(help="From this day on (2026-12-31); default: at once.")] = "",
    dry_run: DryRun = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Stop syncing administrations. Nothing is lost."""
    with acting_as(person, organisation) as actor:
        selection = _selection(actor, "deactivate", ids, matching, everything=everything)
        _run_action(
            actor, "deactivate", {"reason": reason, "on": on}, selection, dry_run=dry_run, as_json=as_json
        )


@app.command("import-csv")
def import_csv(
    file: Annotated[
        Path, typer.Argument(help="The first column names the administration, the others its new values.")
    ],
    dry_run: DryRun = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Set numbers, client numbers, divisions and people from a CSV."""
    text = read_table_file(file)
    with acting_as(person, organisation) as actor:
        actor.require(Permission.CHANGE_ADMINISTRATIONS)
        changes = bulk.read_changes(actor, text)
        if changes.problems:
            problems = bulk.describe_problems(changes.problems, PROBLEMS_SHOWN_MAX)
            raise CommandError(f"Nothing was changed. {problems}")
        if changes.unread:
            typer.echo(f"A file does not change these columns: {', '.join(changes.unread)}.", err=True)
        selection = Selection(ids=sorted(changes.values_by_id), values_by_id=changes.values_by_id)
        _run_action(actor, "change", {"per_item": True}, selection, dry_run=dry_run, as_json=as_json)


@app.command("undo")
def undo_operation(
    operation: Annotated[int, typer.Argument(help="Id that the command printed.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Undo an assignment or setting of the last 24 hours, where it was not changed since."""
    with acting_as(person, organisation) as actor:
        bulk.undo(actor, operation)
        _print(actor, operation, as_json=as_json)


@app.command("restrict")
def restrict(
    administration_id: AdministrationId,
    people: Annotated[
        list[int], typer.Option("--member", help="Id of a membership that may see it; may be repeated.")
    ],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Restrict an administration to the members named, whatever their role."""
    with acting_as(person, organisation) as actor:
        restriction.set_access(actor, administration_id, RestrictionInput(restricted=True, people=people))
    print_record({"id": administration_id, "restricted": True, "members": people}, as_json=as_json)


@app.command("unrestrict")
def unrestrict(
    administration_id: AdministrationId,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Open a restricted administration to all members whose role or division gives access."""
    with acting_as(person, organisation) as actor:
        restriction.set_access(actor, administration_id, RestrictionInput(restricted=False))
    print_record({"id": administration_id, "restricted": False}, as_json=as_json)


@app.command("favourite")
def mark_favourite(
    administration_id: AdministrationId,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Add an administration to your favourites."""
    with acting_as(person, organisation) as actor:
        services.set_favourite(actor, administration_id, is_favourite=True)
    print_record({"id": administration_id, "is_favourite": True}, as_json=as_json)


@app.command("unfavourite")
def unmark_favourite(
    administration_id: AdministrationId,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Remove an administration from your favourites."""
    with acting_as(person, organisation) as actor:
        services.set_favourite(actor, administration_id, is_favourite=False)
    print_record({"id": administration_id, "is_favourite": False}, as_json=as_json)


@app.command("settings")
def change_settings(
    administration_id: AdministrationId,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", help="'schedule=night', or JSON after the =; may be repeated."),
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option(help="Remove its own value of a setting; may be repeated.")
    ] = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show the effective settings and the origin of each; `--set` and `--reset` change its own."""
    changes = dict(_parse_setting(text) for text in values or ()) | dict.fromkeys(reset or ())
    with acting_as(person, organisation) as actor:
        if changes:
            services.change_settings(actor, administration_id, SettingsInput(values=changes))
        row = {"id": administration_id, **settings_row(administration_for(actor, administration_id))}
    print_record(row, as_json=as_json)


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


def _run_action(
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
    _print(actor, draft.pk, as_json=as_json)


def _print(actor: Actor, operation_id: int, *, as_json: bool) -> None:
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


def _parse_setting(text: str) -> tuple[str, Any]:
    """Parse `key=value`: the value as JSON, else as the text itself. Raises `CommandError`."""
    key, separator, value = text.partition("=")
    if not separator:
        raise CommandError(f"Write --set as key=value, not {text!r}.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _id(text: str) -> int:
    if (number := id_of(text)) is None:
        raise CommandError(f"{text!r} is not an id.")
    return number
