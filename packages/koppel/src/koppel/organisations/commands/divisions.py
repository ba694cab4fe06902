"""`koppel divisions`: groups of people and administrations, from the shell."""

from typing import Annotated

import typer

from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_rows
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as
from koppel.organisations.commands.groups import GroupCommands
from koppel.organisations.groups import divisions
from koppel.organisations.groups.inputs import DivisionInput
from koppel.organisations.models import DivisionMember
from koppel.organisations.roles import Actor, Permission

app = typer.Typer(no_args_is_help=True)
group_commands = GroupCommands(
    group_type=divisions.DIVISION,
    columns=("id", "name", "is_archived", "people", "administrations"),
    list_summaries=divisions.list_summaries,
    get_summary=divisions.get_summary,
    merge=divisions.merge,
    list_help="List divisions, those in use first, with the number of people and administrations of each.",
    archive_help="Archive a division: it is no longer offered; its people and administrations keep it.",
    merge_help="Move people and administrations to another division, and archive this one.",
)
group_commands.add_to(app)

DivisionId = Annotated[int, typer.Argument(help="Id of the division; `koppel divisions list` has them.")]
Members = Annotated[list[int] | None, typer.Option("--member", help="Id of a membership; may be repeated.")]


@app.command("create")
def create_division(
    name: Annotated[str, typer.Argument(help="Its name.")],
    members: Members = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Create a division, optionally with members."""
    with acting_as(person, organisation) as actor:
        division = divisions.create_division(actor, DivisionInput(name=name, people=members or None))
        group_commands.print_summary(actor, division.pk, as_json=as_json)


@app.command("rename")
def rename_division(
    division: DivisionId,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Rename a division."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.MANAGE_PEOPLE)
        divisions.change_division(actor, division, DivisionInput(name=name))
        group_commands.print_summary(actor, division, as_json=as_json)


@app.command("members")
def change_members(
    division: DivisionId,
    add: Annotated[
        list[int] | None, typer.Option("--add", help="Id of a membership; may be repeated.")
    ] = None,
    remove: Annotated[
        list[int] | None, typer.Option("--remove", help="Id of a membership; may be repeated.")
    ] = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show the members of a division; `--add` and `--remove` change them."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.MANAGE_PEOPLE)
        divisions.get_division(actor, division)
        if add or remove:
            member_ids = _member_ids(actor, division)
            if strangers := set(remove or ()) - member_ids:
                raise CommandError(f"Not in this division: {', '.join(map(str, sorted(strangers)))}.")
            divisions.set_people(actor, division, (member_ids | set(add or ())) - set(remove or ()))
        members = DivisionMember.objects.for_actor(actor).filter(division_id=division)
        rows = [
            {
                "id": member.membership_id,
                "name": member.membership.user.name,
                "email": member.membership.user.email,
            }
            for member in members.select_related("membership__user").order_by("membership__user__name", "pk")
        ]
    print_rows(rows, ("id", "name", "email"), as_json=as_json)


def _member_ids(actor: Actor, division_id: int) -> set[int]:
    """Return the members who have access: the others keep their divisions."""
    members = DivisionMember.objects.for_actor(actor).filter(
        division_id=division_id, membership__is_active=True
    )
    return set(members.values_list("membership_id", flat=True))
