"""`koppel administrations`: change by a CSV, undo bulk work, restrict access, change settings."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.administrations import bulk, restriction, services
from koppel.administrations.access import administration_for
from koppel.administrations.bulk import Selection
from koppel.administrations.commands.arguments import AdministrationId, DryRun
from koppel.administrations.commands.bulk import PROBLEMS_SHOWN_MAX, print_operation, run_action
from koppel.administrations.commands.list import settings_row
from koppel.administrations.inputs import RestrictionInput, SettingsInput
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.files import read_table_file
from koppel.kit.cli.output import AsJson, print_record
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.roles import Permission

app = typer.Typer(no_args_is_help=True)


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
        run_action(actor, "change", {}, selection, dry_run=dry_run, as_json=as_json)


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
        print_operation(actor, operation, as_json=as_json)


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


def _parse_setting(text: str) -> tuple[str, Any]:
    """Parse `key=value`: the value as JSON, else as the text itself. Raises `CommandError`."""
    key, separator, value = text.partition("=")
    if not separator:
        raise CommandError(f"Write --set as key=value, not {text!r}.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
