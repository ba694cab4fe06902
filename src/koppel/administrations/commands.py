"""`koppel administrations`: list, show and change them; the same services as the pages."""

import json
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.administrations import access, life, services
from koppel.administrations.asked import asked_of_text
from koppel.administrations.bulk import operations, spreadsheet, words
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.bulk.selecting import asked_for_bulk
from koppel.administrations.cells import shown_number
from koppel.administrations.export import export_list
from koppel.administrations.listing import search
from koppel.administrations.models import Administration, BulkItem, BulkOperation
from koppel.administrations.scope import administration_for
from koppel.administrations.settings import COMPARED, in_force
from koppel.cli.doors import AsJson, AsPerson, OfOrganisation, acting, print_one, print_rows
from koppel.cli.errors import Refusal
from koppel.kit.parameters import day_of, id_of
from koppel.kit.table_files import Format
from koppel.organisations.policy import Actor, Permission

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "name", "number", "client_number", "status", "division", "template", "complete_as_of")

One = Annotated[int, typer.Argument(help="Id of the administration; `koppel administrations list` has them.")]
Ids = Annotated[list[int] | None, typer.Argument(help="Ids of administrations.")]
Matching = Annotated[
    str | None,
    typer.Option(
        "--filter", help="Instead of ids: all that match, as in the list's address bar: 'status=failed&division=3'."
    ),
]
Everything = Annotated[bool, typer.Option("--all", help="Instead of ids or a filter: all that you may see.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")]


@app.command("list")
def listing(
    matching: Annotated[
        str, typer.Option("--filter", help="As in the list's address bar: 'q=bakker&status=failed'.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 200,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """The administrations that you may see, filtered and sorted as the list does."""
    with acting(person, organisation) as actor:
        rows = [_row(one) for one in search(actor, asked_of_text(matching))[:limit]]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("show")
def show(one: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """One administration with its settings and where each comes from."""
    with acting(person, organisation) as actor:
        found = administration_for(actor, one)
        row = _row(found) | {
            "restricted": found.restricted,
            "left_on": found.left_on,
            "settings": _settings(found),
        }
    print_one(row, as_json=as_json)


@app.command("assign")
def assign(
    ids: Ids = None,
    matching: Matching = None,
    everything: Everything = False,
    division: Annotated[str, typer.Option(help="Id of the division, or 'none'.")] = "",
    template: Annotated[str, typer.Option(help="Id of the template, or 'none'.")] = "",
    add: Annotated[list[int] | None, typer.Option(help="Id of a membership to add; several times.")] = None,
    remove: Annotated[list[int] | None, typer.Option(help="Id of a membership to take off; several times.")] = None,
    sector: Annotated[str, typer.Option(help="Letter of the sector.")] = "",
    dry_run: DryRun = False,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Division and template replace, people are added to those already there; undone for 24 hours with `undo`."""
    asked: dict[str, Any] = {"add": add or [], "remove": remove or []}
    for key, text in (("division", division), ("template", template)):
        if text:
            asked[key] = None if text == "none" else _id(text)
    if sector:
        asked["sector"] = sector
    with acting(person, organisation) as actor:
        selection = _selection(actor, "change", ids, matching, everything=everything)
        _act(actor, "change", asked, selection, dry_run=dry_run, as_json=as_json)


@app.command("activate")
def activate(
    ids: Ids = None, matching: Matching = None, everything: Everything = False, dry_run: DryRun = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let what is deactivated sync again."""
    with acting(person, organisation) as actor:
        selection = _selection(actor, "activate", ids, matching, everything=everything)
        _act(actor, "activate", {}, selection, dry_run=dry_run, as_json=as_json)


@app.command("deactivate")
def deactivate(
    ids: Ids = None,
    matching: Matching = None,
    everything: Everything = False,
    reason: Annotated[str, typer.Option(help="Kept with it.")] = "",
    on: Annotated[str, typer.Option(help="From this day on (2026-12-31); at once without it.")] = "",
    dry_run: DryRun = False,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Stop syncing. Nothing is lost."""
    with acting(person, organisation) as actor:
        selection = _selection(actor, "deactivate", ids, matching, everything=everything)
        _act(actor, "deactivate", {"reason": reason, "on": on}, selection, dry_run=dry_run, as_json=as_json)


@app.command("import-csv")
def import_csv(
    file: Annotated[Path, typer.Argument(help="First column: which administration; the others: what it gets.")],
    dry_run: DryRun = False,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Set numbers, client numbers, divisions and people from a CSV."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{file} cannot be read: {error}.") from None
    with acting(person, organisation) as actor:
        actor.require(Permission.CHANGE_ADMINISTRATIONS)
        found = spreadsheet.read(actor, text)
        if found.problems:
            lines = "; ".join(f"line {number}: {why}" for number, _text, why in found.problems[:20])
            raise Refusal(f"Nothing was changed. {lines}")
        selection = Selection(ids=sorted(found.each), each=found.each)
        _act(actor, "change", {"per_item": True}, selection, dry_run=dry_run, as_json=as_json)


@app.command("undo")
def undo(
    operation: Annotated[int, typer.Argument(help="Id that the act printed.")],
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Take back an assignment or setting of the last 24 hours, as far as nobody changed it since."""
    with acting(person, organisation) as actor:
        operations.undo(actor, operation)
        _print(actor, operation, as_json=as_json)


@app.command("restrict")
def restrict(
    one: One,
    people: Annotated[list[int], typer.Option("--member", help="Id of a membership to name on it; several times.")],
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let it exist only for the people named, whatever their role."""
    with acting(person, organisation) as actor:
        access.set_access(actor, one, restricted=True, membership_ids=people)
    print_one({"id": one, "restricted": True, "members": people}, as_json=as_json)


@app.command("unrestrict")
def unrestrict(one: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """Give it back to all whose role or division gives access."""
    with acting(person, organisation) as actor:
        access.set_access(actor, one, restricted=False, membership_ids=[])
    print_one({"id": one, "restricted": False}, as_json=as_json)


@app.command("star")
def star(
    one: One,
    off: Annotated[bool, typer.Option("--off", help="No favourite any more.")] = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Among your own favourites."""
    with acting(person, organisation) as actor:
        services.star(actor, one, starred=not off)
    print_one({"id": one, "starred": not off}, as_json=as_json)


@app.command("follows")
def follows(
    one: One,
    predecessor: Annotated[int | None, typer.Argument(help="Id of the one that it continues; none without it.")] = None,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """It continues another one: renamed, merged, or moved to another system."""
    with acting(person, organisation) as actor:
        life.follow(actor, one, predecessor)
    print_one({"id": one, "predecessor": predecessor}, as_json=as_json)


@app.command("settings")
def settings(
    one: One,
    values: Annotated[
        list[str] | None, typer.Option("--set", help="'schedule=night', or JSON after the =; several times.")
    ] = None,
    reset: Annotated[list[str] | None, typer.Option(help="Give a setting back to template or organisation.")] = None,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """The settings in force and where each comes from; `--set` and `--reset` change its own."""
    given = dict(_setting(text) for text in values or ()) | dict.fromkeys(reset or ())
    with acting(person, organisation) as actor:
        if given:
            services.change_settings(actor, one, given)
        row = {"id": one, **_settings(administration_for(actor, one))}
    print_one(row, as_json=as_json)


@app.command("left")
def left(
    one: One,
    erase_on: Annotated[str, typer.Option(help="Day on which everything is erased.")],
    left_on: Annotated[str, typer.Option(help="Day on which the client left; today without it.")] = "",
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """The client left: syncing stops, books are kept until a day and then erased."""
    begin, end = _day(left_on) if left_on else date.today(), _day(erase_on)  # noqa: DTZ011 - the day of whoever types it
    with acting(person, organisation) as actor:
        life.client_left(actor, one, left_on=begin, erase_on=end)
    print_one({"id": one, "left_on": begin, "erase_on": end}, as_json=as_json)


@app.command("withdraw")
def withdraw(
    one: One,
    sure: Annotated[bool, typer.Option("--yes", help="Erasing cannot be undone; say so.")] = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Cancel an import that waits, or erase a wrong one."""
    if not sure:
        raise Refusal("Everything that was read of it is erased and nothing brings it back. Say --yes if you mean it.")
    with acting(person, organisation) as actor:
        life.withdraw(actor, one)
    print_one({"id": one, "withdrawn": True}, as_json=as_json)


@app.command("export")
def export(
    matching: Annotated[str, typer.Option("--filter", help="As in the list's address bar, columns too.")] = "",
    file_format: Annotated[Format, typer.Option("--format", help="csv, xlsx or parquet.")] = Format.CSV,
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("administrations.csv"),
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """The list as a file."""
    with acting(person, organisation) as actor, export_list(actor, asked_of_text(matching), file_format) as content:
        try:
            with out.open("wb") as target:
                shutil.copyfileobj(content, target)
        except OSError as error:
            raise Refusal(f"{out} cannot be written: {error.strerror}.") from None
    print_one({"file": str(out), "bytes": out.stat().st_size}, as_json=as_json)


def _selection(actor: Actor, act: str, ids: list[int] | None, matching: str | None, *, everything: bool) -> Selection:
    """Ids, a filter that narrows down, or --all. Whoever may not act is told so before anything is read."""
    operations.allowed_act(actor, act)
    if sum((bool(ids), bool(matching), everything)) > 1:
        raise Refusal("Name administrations by id, or all that match with --filter, or --all; one of the three.")
    if everything:
        return Selection(asked=asked_for_bulk(""))
    if ids and matching is None:
        return Selection(ids=ids)
    if not matching:
        raise Refusal("Name administrations by id, or all that match with --filter; --all if you mean all of them.")
    return Selection(asked=asked_for_bulk(matching))


def _act(
    actor: Actor, act: str, asked: Mapping[str, Any], selection: Selection, *, dry_run: bool, as_json: bool
) -> None:
    draft = operations.preview(actor, act, asked, selection)
    if not dry_run:
        operations.start(actor, draft.pk)
    _print(actor, draft.pk, as_json=as_json)


def _print(actor: Actor, operation_id: int, *, as_json: bool) -> None:
    """How many of each, and why some were left; many are performed by a worker, so `state` may say queued."""
    operation = operations.operation_for(actor, operation_id)
    counts = operations.counts_of(operation)
    row = {
        "operation": operation.pk, "state": operation.state, "would_change": counts.waiting, "changed": counts.changed,
        "skipped": counts.skipped, "undone": counts.undone, "kept": counts.kept, "why": _whys(operation),
    }  # fmt: skip
    print_one(row, as_json=as_json)


def _whys(operation: BulkOperation) -> dict[str, str]:
    found = BulkItem.objects.filter(organisation_id=operation.organisation_id, operation=operation).exclude(why="")
    return {str(item.administration_id): words.why(item.why) for item in found.order_by("pk")[:100]}


def _row(one: Administration) -> dict[str, Any]:
    return {
        "id": one.pk,
        "name": one.name,
        "number": shown_number(one),
        "client_number": one.client_number,
        "code": one.remote_company.code,
        "status": one.status,
        "division": one.division.name if one.division else None,
        "template": one.template.name if one.template else None,
        "sector": one.sector,
        "complete_as_of": one.complete_as_of,
    }


def _settings(one: Administration) -> dict[str, Any]:
    now = in_force(one)
    found: dict[str, Any] = {
        key: {"value": getattr(now, key), "from": now.sources[key].value} for key in COMPARED if key != "notify"
    }
    told = {event: {"value": now.notify[event], "from": source.value} for event, source in now.told_by.items()}
    return {**found, "notify": told}


def _setting(text: str) -> tuple[str, Any]:
    """`key=value`: the value as JSON, else as the text itself. Raises `Refusal`."""
    key, separator, value = text.partition("=")
    if not separator:
        raise Refusal(f"Write --set as key=value, not {text!r}.")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _id(text: str) -> int:
    if (number := id_of(text)) is None:
        raise Refusal(f"{text!r} is not an id.")
    return number


def _day(text: str) -> date:
    if (day := day_of(text)) is None:
        raise Refusal(f"{text!r} is not a date like 2026-12-31.")
    return day
