"""`koppel templates`: named bundles of settings, from the shell."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from koppel.kit.cli.errors import Refusal
from koppel.kit.cli.output import AsJson, as_mapping, print_one, print_rows
from koppel.organisations.commands.acting import AsPerson, OfOrganisation, acting
from koppel.organisations.groups import settings_templates
from koppel.organisations.roles import Actor, Permission
from koppel.organisations.settings_schema import KEYS, told_of

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "name", "is_archived", "settings", "administrations")

One = Annotated[int, typer.Argument(help="Id of the template; `koppel templates list` has them.")]
Resources = Annotated[
    list[str] | None, typer.Option("--resource", help="Read this and what else is named, nothing more; several times.")
]
Years = Annotated[int | None, typer.Option("--fiscal-years-back", help="Fiscal years before the current one.")]
Schedule = Annotated[str, typer.Option(help="off, daily, night, hourly_2, hourly_4 or hourly_8.")]
Weekday = Annotated[int | None, typer.Option("--weekday", help="Day of the full comparison; Monday is 0.")]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        help="Who is told of an event: 'sync_failing=division'; nobody, responsible, assigned or division; several times."
    ),
]
Unset = Annotated[
    list[str] | None, typer.Option(help=f"Let the organisation say it: {', '.join(KEYS)}; several times.")
]


@app.command("list")
def list_all(person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """All templates, those in use first, with what each sets and how many administrations have it."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        rows = settings_templates.lines(actor)
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(help="Its name.")],
    resources: Resources = None,
    years: Years = None,
    schedule: Schedule = "",
    weekday: Weekday = None,
    notify: Notify = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """A new template. What it does not set comes from the organisation."""
    settings = _asked({}, resources, years, schedule, weekday, notify, None)
    with acting(person, organisation) as actor:
        made = settings_templates.make(actor, name, settings)
        _print(actor, made.pk, as_json=as_json)


@app.command("change")
def change(
    template: One,
    name: Annotated[str, typer.Option(help="Its new name.")] = "",
    resources: Resources = None,
    years: Years = None,
    schedule: Schedule = "",
    weekday: Weekday = None,
    notify: Notify = None,
    unset: Unset = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many administrations change and how.")
    ] = False,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Name and settings; what is not named stays. `--dry-run` says first what it does, to how many."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        before = settings_templates.template_named(actor, template)
        settings = _asked(before.settings, resources, years, schedule, weekday, notify, unset)
        effects = as_mapping(settings_templates.preview(actor, template, settings))
        if not dry_run:
            settings_templates.change(
                actor, template, name=name or before.name, settings=settings, archived=before.archived_at is not None
            )
        print_one({"id": template, "stored": not dry_run, "settings": settings, **effects}, as_json=as_json)


@app.command("archive")
def archive(
    template: One,
    back: Annotated[bool, typer.Option("--back", help="Offer it again.")] = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """No longer offered; its administrations keep it."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        before = settings_templates.template_named(actor, template)
        settings_templates.change(actor, template, name=before.name, settings=before.settings, archived=not back)
        _print(actor, template, as_json=as_json)


@app.command("merge")
def merge(
    template: One,
    into: Annotated[int, typer.Argument(help="Id of the one that stays.")],
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Its administrations get the other one; it stays behind, archived."""
    with acting(person, organisation) as actor:
        moved = settings_templates.merge(actor, template, into)
    print_one({"id": template, "into": into, "administrations": moved}, as_json=as_json)


def _asked(
    before: Mapping[str, Any],
    resources: list[str] | None,
    years: int | None,
    schedule: str,
    weekday: int | None,
    notify: list[str] | None,
    unset: list[str] | None,
) -> dict[str, Any]:
    """The whole bundle. Raises `Refusal` for what cannot be understood; services refuse what cannot be stored."""
    if strange := [key for key in unset or () if key not in KEYS]:
        raise Refusal(f"{strange[0]!r} is not a setting. There are {', '.join(KEYS)}.")
    given = {
        "resources": resources or None,
        "fiscal_years_back": years,
        "schedule": schedule or None,
        "full_comparison_weekday": weekday,
        "notify": {**told_of(before), **_told(notify)} if notify else None,
    }
    kept = {key: value for key, value in before.items() if key not in (unset or ())}
    return kept | {key: value for key, value in given.items() if value is not None}


def _told(notify: list[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in notify]
    if wrong := [event for event, separator, _audience in pairs if not separator]:
        raise Refusal(f"Write --notify as event=audience, not {wrong[0]!r}.")
    return {event: audience for event, _separator, audience in pairs}


def _print(actor: Actor, template_id: int, *, as_json: bool) -> None:
    print_one(next(line for line in settings_templates.lines(actor) if line.id == template_id), as_json=as_json)
