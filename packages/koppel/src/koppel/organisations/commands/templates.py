"""`koppel templates`: named sets of settings, from the shell."""

from typing import Annotated, Any

import typer

from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, as_mapping, print_record
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.commands.groups import GroupCommands
from koppel.organisations.groups import settings_templates
from koppel.organisations.groups.inputs import TemplateInput
from koppel.organisations.models import SettingsMap
from koppel.organisations.roles import Permission
from koppel.organisations.settings_schema import SETTING_LABELS, notification_audiences

app = typer.Typer(no_args_is_help=True)
group_commands = GroupCommands(
    group_type=settings_templates.TEMPLATE,
    columns=("id", "name", "is_archived", "settings", "administrations"),
    list_summaries=settings_templates.list_summaries,
    get_summary=settings_templates.get_summary,
    merge=settings_templates.merge,
    list_help="List templates, those in use first, with their settings and the number of administrations.",
    archive_help="Archive a template: it is no longer offered; its administrations keep it.",
    merge_help="Move administrations to another template, and archive this one.",
)
group_commands.add_to(app)

TemplateId = Annotated[int, typer.Argument(help="Id of the template; `koppel templates list` has them.")]
Resources = Annotated[
    list[str] | None, typer.Option("--resource", help="Read only the named resources; may be repeated.")
]
Years = Annotated[
    int | None, typer.Option("--fiscal-years-back", help="Fiscal years before the current one.")
]
Schedule = Annotated[str, typer.Option(help="off, daily, night, hourly_2, hourly_4 or hourly_8.")]
Weekday = Annotated[int | None, typer.Option("--weekday", help="Day of the weekly full check; Monday is 0.")]
Notify = Annotated[
    list[str] | None,
    typer.Option(
        help="Who is notified of an event: 'sync_failing=division'; nobody, responsible, "
        "assigned or division; may be repeated."
    ),
]
Unset = Annotated[
    list[str] | None,
    typer.Option(help=f"Let the organisation decide: {', '.join(SETTING_LABELS)}; may be repeated."),
]


@app.command("create")
def create_template(
    name: Annotated[str, typer.Argument(help="Its name.")],
    resources: Resources = None,
    years: Years = None,
    schedule: Schedule = "",
    weekday: Weekday = None,
    notify: Notify = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Create a template. The organisation decides about the settings that it omits."""
    settings = _settings_from_options({}, resources, years, schedule, weekday, notify, None)
    with acting_as(person, organisation) as actor:
        created = settings_templates.create_template(actor, TemplateInput(name=name, settings=settings))
        group_commands.print_summary(actor, created.pk, as_json=as_json)


@app.command("update")
def update_template(
    template: TemplateId,
    name: Annotated[str, typer.Option(help="Its new name.")] = "",
    resources: Resources = None,
    years: Years = None,
    schedule: Schedule = "",
    weekday: Weekday = None,
    notify: Notify = None,
    unset: Unset = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show how many administrations change, and how.")
    ] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Change name and settings; omitted options stay. `--dry-run` shows the effect and the number of
    administrations.
    """
    with acting_as(person, organisation) as actor:
        actor.require(Permission.MANAGE_PEOPLE)
        before = settings_templates.get_template(actor, template)
        settings = _settings_from_options(before.settings, resources, years, schedule, weekday, notify, unset)
        effects = as_mapping(settings_templates.preview(actor, template, settings))
        if not dry_run:
            changed = TemplateInput(name=name or before.name, settings=settings)
            settings_templates.change_template(actor, template, changed)
        print_record(
            {"id": template, "stored": not dry_run, "settings": settings, **effects}, as_json=as_json
        )


def _settings_from_options(
    before: SettingsMap,
    resources: list[str] | None,
    years: int | None,
    schedule: str,
    weekday: int | None,
    notify: list[str] | None,
    unset: list[str] | None,
) -> dict[str, Any]:
    """Return all settings given. Raises `CommandError` for values that cannot be parsed; services refuse
    invalid ones.
    """
    if unknown := [key for key in unset or () if key not in SETTING_LABELS]:
        raise CommandError(f"{unknown[0]!r} is not a setting. There are {', '.join(SETTING_LABELS)}.")
    options = {
        "resources": resources or None,
        "fiscal_years_back": years,
        "schedule": schedule or None,
        "full_comparison_weekday": weekday,
        "notify": {**notification_audiences(before), **_parse_notify(notify)} if notify else None,
    }
    unchanged = {key: value for key, value in before.items() if key not in (unset or ())}
    return unchanged | {key: value for key, value in options.items() if value is not None}


def _parse_notify(notify: list[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in notify]
    if malformed := [event for event, separator, _audience in pairs if not separator]:
        raise CommandError(f"Write --notify as event=audience, not {malformed[0]!r}.")
    return {event: audience for event, _separator, audience in pairs}
