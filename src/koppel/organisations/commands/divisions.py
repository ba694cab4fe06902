"""`koppel divisions`: groups of people and administrations, from the shell."""

from typing import Annotated

import typer

from koppel.kit.cli.output import AsJson, print_one, print_rows
from koppel.organisations.commands.acting import AsPerson, OfOrganisation, acting
from koppel.organisations.groups import divisions
from koppel.organisations.models import DivisionMember
from koppel.organisations.roles import Actor, Permission

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "name", "is_archived", "people", "administrations")

One = Annotated[int, typer.Argument(help="Id of the division; `koppel divisions list` has them.")]
Members = Annotated[list[int] | None, typer.Option("--member", help="Id of a membership; several times.")]


@app.command("list")
def list_all(person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """All divisions, those in use first, with how many people and administrations each has."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        rows = divisions.lines(actor)
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("make")
def make(
    name: Annotated[str, typer.Argument(help="Its name.")],
    members: Members = None,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """A new division, with its people when they are named."""
    with acting(person, organisation) as actor:
        made = divisions.make(actor, name)
        if members:
            divisions.set_people(actor, made.pk, members)
        _print(actor, made.pk, as_json=as_json)


@app.command("rename")
def rename(
    division: One,
    name: Annotated[str, typer.Argument(help="Its new name.")],
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Another name; everything else stays."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        before = divisions.division_named(actor, division)
        divisions.change(actor, division, name=name, archived=before.archived_at is not None)
        _print(actor, division, as_json=as_json)


@app.command("archive")
def archive(
    division: One,
    back: Annotated[bool, typer.Option("--back", help="Offer it again.")] = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """No longer offered; its people and administrations keep it."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        before = divisions.division_named(actor, division)
        divisions.change(actor, division, name=before.name, archived=not back)
        _print(actor, division, as_json=as_json)


@app.command("members")
def members_of(
    division: One,
    add: Annotated[list[int] | None, typer.Option("--add", help="Id of a membership; several times.")] = None,
    remove: Annotated[list[int] | None, typer.Option("--remove", help="Id of a membership; several times.")] = None,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Who is in it; `--add` and `--remove` change that."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        divisions.division_named(actor, division)
        if add or remove:
            divisions.set_people(actor, division, (_people_in(actor, division) | set(add or ())) - set(remove or ()))
        found = DivisionMember.objects.filter(organisation_id=actor.organisation_id, division_id=division)
        rows = [
            {"id": one.membership_id, "name": one.membership.user.name, "email": one.membership.user.email}
            for one in found.select_related("membership__user").order_by("membership__user__name", "pk")
        ]
    print_rows(rows, ("id", "name", "email"), as_json=as_json)


@app.command("merge")
def merge(
    division: One,
    into: Annotated[int, typer.Argument(help="Id of the one that stays.")],
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """People and administrations move to the other one; it stays behind, archived."""
    with acting(person, organisation) as actor:
        moved = divisions.merge(actor, division, into)
    print_one({"id": division, "into": into, "administrations": moved}, as_json=as_json)


def _people_in(actor: Actor, division_id: int) -> set[int]:
    own = DivisionMember.objects.filter(organisation_id=actor.organisation_id, division_id=division_id)
    return set(own.values_list("membership_id", flat=True))


def _print(actor: Actor, division_id: int, *, as_json: bool) -> None:
    print_one(next(line for line in divisions.lines(actor) if line.id == division_id), as_json=as_json)
