"""`koppel people`: who works in the organisation, from the shell; the same services and limits as the pages."""

from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.kit.cli.errors import Refusal, refusals
from koppel.kit.cli.output import AsJson, print_json, print_one, print_rows
from koppel.organisations import bootstrap
from koppel.organisations.access import sessions
from koppel.organisations.commands.acting import AsPerson, OfOrganisation, acting, operator_at_the_shell
from koppel.organisations.commands.organisations import link_facts, tell_link
from koppel.organisations.invitations import csv_import
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.csv_import import end_of_day
from koppel.organisations.invitations.services import Wanted
from koppel.organisations.models import Membership
from koppel.organisations.people import offboarding
from koppel.organisations.people import services as people
from koppel.organisations.people.list import Asked, people_of
from koppel.organisations.people.services import Access
from koppel.organisations.roles import Permission, Role

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "name", "email", "role", "active", "expires_at", "divisions")

One = Annotated[int, typer.Argument(help="Id of the membership; `koppel people list` has them.")]
Divisions = Annotated[list[int] | None, typer.Option("--division", help="Id of a division; several times.")]
Until = Annotated[str, typer.Option(help="Last day of access, 2027-03-31.")]


@app.command("list")
def list_all(
    words: Annotated[str, typer.Option("--search", help="Part of a name or address.")] = "",
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Everybody who is or was a member."""
    with acting(person, organisation) as actor:
        found = people_of(actor, Asked(words=words)).prefetch_related("divisions")
        rows = [_row(one) for one in found]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("invite")
def invite(
    email: Annotated[str, typer.Argument(help="Address to which the invitation goes.")],
    name: Annotated[str, typer.Option(help="The person's name.")] = "",
    role: Annotated[Role, typer.Option(help="What the person may do.")] = Role.USER,
    divisions: Divisions = None,
    until: Until = "",
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Ask somebody by mail to become a member."""
    with acting(person, organisation) as actor:
        ends = end_of_day(until) if until else None
        made = invitations.invite(actor, Wanted(email, name, role, frozenset(divisions or ()), ends))
        row = {"invitation": made.pk, "email": made.email, "role": made.role, "valid_until": made.valid_until}
        ((_made, link),) = invitations.with_links(actor, [made])
        if link:
            row["link"] = link
    print_one(row, as_json=as_json)


@app.command("invite-csv")
def invite_csv(
    file: Annotated[Path, typer.Argument(help="Lines of: e-mail; name; role; divisions; access until.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each line.")] = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Invite whom the lines name; a line that cannot be done is left out with its reason."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Refusal(f"{file} cannot be read: {error.strerror}.") from None
    with acting(person, organisation) as actor:
        text = csv_import.decoded(content)
        lines = (csv_import.preview if dry_run else csv_import.invite_all)(actor, text)
    print_rows(lines, ("number", "email", "role", "problem", "invited"), as_json=as_json)


@app.command("change")
def change(
    member: One,
    role: Annotated[Role | None, typer.Option(help="What the person may do.")] = None,
    divisions: Divisions = None,
    no_division: Annotated[bool, typer.Option("--no-division", help="In no division any more.")] = False,
    until: Annotated[str, typer.Option(help="Last day of access, 2027-03-31; 'never' lets it not end.")] = "",
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Give or take away access.")] = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Role, divisions (all of them) and access; what is not named stays. Whoever loses access is out at once."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        now = people.access_of(people.member(actor, member))
        wanted = Access(
            role or now.role,
            now.is_active if active is None else active,
            now.until if not until else None if until == "never" else end_of_day(until),
            frozenset() if no_division else frozenset(divisions) if divisions else now.divisions,
        )
        row = _row(people.change_access(actor, member, wanted))
    print_one(row, as_json=as_json)


@app.command("hand-over")
def hand_over(
    member: One,
    to: Annotated[int, typer.Argument(help="Id of the membership that takes it over.")],
    deactivate: Annotated[bool, typer.Option("--deactivate", help="Take away the first one's access.")] = False,
    person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """Everything that somebody holds goes to a colleague."""
    with acting(person, organisation) as actor:
        moved = offboarding.hand_over(actor, member, to, deactivate=deactivate)
    print_one({"from": member, "to": to, "moved": moved}, as_json=as_json)


@app.command("end-sessions")
def end_sessions(
    member: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False
) -> None:
    """Sign somebody out of this organisation everywhere."""
    with acting(person, organisation) as actor:
        actor.require(Permission.PEOPLE)
        one = people.member(actor, member)
        people.refuse_out_of_reach(actor, Role(one.role))
        count = sessions.end_sessions_of(actor, one)
    print_one({"id": member, "ended": count}, as_json=as_json)


@app.command("link")
def link(
    email: Annotated[str, typer.Argument(help="Address of somebody who signs in here, or is invited.")],
    drop_second_step: Annotated[
        bool, typer.Option("--drop-second-step", help="Also forget authenticator app and passkeys, when they are lost.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link on which somebody whom no mail reaches chooses a password. As whoever runs Koppel; kept in the trail."""
    with refusals():
        made = bootstrap.link_for(operator_at_the_shell(), email, drops_second_step=drop_second_step)
    if as_json:
        print_json(link_facts(made))
    else:
        tell_link(made)


def _row(one: Membership) -> dict[str, Any]:
    return {
        "id": one.pk, "name": one.user.name, "email": one.user.email, "role": one.role, "active": one.is_live,
        "expires_at": one.expires_at, "divisions": sorted(each.division_id for each in one.divisions.all()),
    }  # fmt: skip
