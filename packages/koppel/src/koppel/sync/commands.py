"""`koppel sync`: start, watch, retry and cancel runs. `koppel books`: normalise stored books again."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from koppel.administrations.access import administration_for
from koppel.administrations.models import Administration
from koppel.audit.services import actor_scope
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_json, print_record, print_rows
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.parameters import unknown_value
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.bootstrap import list_organisation_summaries
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as, current_shell_operator
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import RESOURCES
from koppel.sync.engine import outdated_rows, renormalise
from koppel.sync.errors import SyncNotAllowed
from koppel.sync.inputs import SyncInput
from koppel.sync.models import Run
from koppel.sync.progress.queries import newest_runs
from koppel.sync.progress.run_progress import RunProgress, progress_of_runs
from koppel.sync.runs.services import cancel_run, request_run, retry_failed

POLL_SECONDS = 1.0
COLUMNS = (
    "id",
    "name",
    "status",
    "state",
    "percent",
    "resource",
    "rows",
    "seconds_left",
    "complete_as_of",
    "reason",
)

RETRIED_COLUMNS = ("id", "name", "created")
RENORMALISED_COLUMNS = ("administration", "name", "outdated", "renormalised", "rejected", "reason")

app = typer.Typer(no_args_is_help=True)
books = typer.Typer(no_args_is_help=True)
AdministrationId = Annotated[
    int, typer.Argument(help="Id of the administration; `koppel administrations list` has them.")
]
AdministrationIds = Annotated[
    list[int] | None, typer.Argument(help="Ids of administrations; default: all that you may see.")
]


@dataclass(frozen=True)
class Line:
    """The sync status of one administration."""

    id: int
    name: str
    status: str
    state: str
    """The state of its newest run."""
    percent: int | None
    """Of an open run, as are resource, rows and seconds left."""
    resource: str
    rows: int
    pages: int
    seconds_left: int | None
    waits_until: datetime | None
    complete_as_of: datetime | None
    reason: str


@app.command("start")
def start_sync(
    administration: AdministrationId,
    full: Annotated[
        bool, typer.Option("--full", help="Read everything again and find what was deleted.")
    ] = False,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", help="Only this resource; may be repeated.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the end of the run; exit code 1 when it failed.")
    ] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Sync an administration now."""
    if unknown := [name for name in resource or () if name not in RESOURCES]:
        raise CommandError(" ".join(unknown_value("resource", name, RESOURCES).message for name in unknown))
    with acting_as(person, organisation) as actor:
        created = request_run(actor, administration, SyncInput(full=full, resources=resource or None))
    if wait:
        _watch(actor, [administration], as_json=as_json)
        return
    print_record({"administration": administration, "created": created}, as_json=as_json)


@app.command("status")
def show_status(
    administrations: AdministrationIds = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show the progress of administrations."""
    with acting_as(person, organisation) as actor:
        print_rows(_lines(actor, administrations), COLUMNS, as_json=as_json)


@app.command("watch")
def watch_syncs(
    administrations: AdministrationIds = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Follow open runs until they end.

    With --json, print one object per administration and change. Exit code 1: a run failed.
    """
    with acting_as(person, organisation) as actor:
        lines = _lines(actor, administrations)
    watched = administrations or [line.id for line in lines if line.state in ("queued", "running")]
    _watch(actor, watched, as_json=as_json)


@app.command("retry")
def retry_syncs(
    administrations: AdministrationIds = None,
    all_organisations: Annotated[
        bool,
        typer.Option("--all-organisations", help="Of all organisations, as the operator; without --as."),
    ] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Retry failed and blocked administrations from their last checkpoint."""
    if all_organisations:
        if administrations:
            raise CommandError("--all-organisations takes no ids.")
        print_rows(_retry_everywhere(), ("organisation", *RETRIED_COLUMNS), as_json=as_json)
        return
    with acting_as(person, organisation) as actor:
        ids = [one.pk for one in _selected_administrations(actor, administrations)]
        print_rows(_retried_rows(actor, ids), RETRIED_COLUMNS, as_json=as_json)


def _retry_everywhere() -> list[dict[str, object]]:
    """Retry in every organisation, in the name of the account of the shell; its activity says so."""
    operator, rows = current_shell_operator(), []
    for summary in list_organisation_summaries():
        actor = replace(operator, organisation_id=summary.id)
        with actor_scope(actor.audit), organisation_scope(summary.id):
            rows += [{"organisation": summary.name, **row} for row in _retried_rows(actor)]
    return rows


def _retried_rows(actor: Actor, ids: Sequence[int] | None = None) -> list[dict[str, object]]:
    retried = retry_failed(actor, ids)
    return [dict(zip(RETRIED_COLUMNS, administration, strict=True)) for administration in retried]


@app.command("cancel")
def cancel_sync(
    administration: AdministrationId,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Cancel the open run of an administration. Pages already read are kept."""
    with acting_as(person, organisation) as actor:
        print_record(
            {"administration": administration, "cancelled": cancel_run(actor, administration)},
            as_json=as_json,
        )


@books.callback()
def describe_books() -> None:
    """Normalise stored books again."""


@books.command("renormalise")
def renormalise_books(
    administration: Annotated[
        int | None, typer.Option("--administration", help="Id of the administration.")
    ] = None,
    all_administrations: Annotated[
        bool, typer.Option("--all", help="All administrations that you may see.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count the rows.")] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Make the columns of stored rows again where this Koppel reads their payloads differently.

    Makes no calls to the accounting system. Exit code 1: an administration was left out.
    """
    with acting_as(person, organisation) as actor:
        actor.require(Permission.CHANGE_ADMINISTRATIONS)
        if (administration is None) is not all_administrations:
            raise CommandError("Give either --administration or --all.")
        chosen = _chosen(actor, administration)
    rows = [_renormalise_one(actor, each, dry_run=dry_run) for each in chosen]
    print_rows(rows, RENORMALISED_COLUMNS, as_json=as_json)
    if any(row["reason"] for row in rows):
        raise typer.Exit(1)


def _chosen(actor: Actor, administration_id: int | None) -> list[Administration]:
    if administration_id is not None:
        return [administration_for(actor, administration_id)]
    visible = Administration.objects.visible_to(actor).select_related("connection")
    return list(visible.order_by("name", "pk"))


def _renormalise_one(actor: Actor, administration: Administration, *, dry_run: bool) -> dict[str, object]:
    with organisation_scope(actor.organisation_id):
        total = sum(outdated_rows(administration).values())
    row: dict[str, object] = {"administration": administration.pk, "name": administration.name}
    row |= {"outdated": total, "renormalised": 0, "rejected": 0, "reason": ""}
    if dry_run or not total:
        return row

    def report(resource: str, count: int) -> None:
        typer.echo(f"{administration.pk} {administration.name}: {resource}, {count} rows", err=True)

    try:
        row["renormalised"], row["rejected"] = renormalise(actor, administration, report)
    except SyncNotAllowed as refusal:
        row["reason"] = str(refusal)
    return row


def _watch(actor: Actor, administrations: Sequence[int], *, as_json: bool) -> None:
    console, printed = Console(), dict[int, dict[str, Any]]()
    while True:
        with organisation_scope(actor.organisation_id):
            lines = _lines(actor, administrations) if administrations else []
        for line in lines:
            row = asdict(line)
            if printed.get(line.id) == row:
                continue
            printed[line.id] = row
            if as_json:
                print_json(row)
            else:
                console.print(_summary(line), markup=False, highlight=False)
        if not any(line.state in ("queued", "running") for line in lines):
            raise typer.Exit(1 if any(line.state in ("failed", "partial") for line in lines) else 0)
        time.sleep(POLL_SECONDS)


def _summary(line: Line) -> str:
    percentage = f" {line.percent} %" if line.percent is not None else ""
    reading = f", {line.resource}, {line.rows} rows" if line.resource else ""
    remaining = f", about {line.seconds_left} s left" if line.seconds_left else ""
    return (
        f"{line.id} {line.name}: "
        f"{line.state}{percentage}{reading}{remaining}{f' ({line.reason})' if line.reason else ''}"
    )


def _selected_administrations(actor: Actor, ids: Sequence[int] | None) -> list[Administration]:
    """Return these administrations, or all visible ones.

    Raises `NoSuchAdministration` for an administration that the actor may not see.
    """
    if ids:
        return [administration_for(actor, administration_id) for administration_id in ids]
    return list(Administration.objects.visible_to(actor).order_by("name", "pk"))


def _lines(actor: Actor, ids: Sequence[int] | None) -> list[Line]:
    selected = _selected_administrations(actor, ids)
    ids_of_selected = [administration.pk for administration in selected]
    progress = progress_of_runs(actor.organisation_id, ids_of_selected)
    runs = newest_runs(actor.organisation_id, ids_of_selected)
    return [
        _line(administration, runs.get(administration.pk), progress.get(administration.pk))
        for administration in selected
    ]


def _line(administration: Administration, run: Run | None, progress: RunProgress | None) -> Line:
    return Line(
        id=administration.pk,
        name=administration.name,
        status=administration.status,
        state=run.state if run else "",
        percent=progress.percent if progress else None,
        resource=progress.resource if progress else "",
        rows=progress.rows if progress else 0,
        pages=progress.pages if progress else 0,
        seconds_left=progress.seconds_left if progress else None,
        waits_until=progress.waits_until if progress else None,
        complete_as_of=administration.complete_as_of,
        reason=render_sentence((run.reason if run else "") or administration.status_reason),
    )
