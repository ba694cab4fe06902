"""`koppel people`: the people of the organisation; the same services and limits as the pages."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from koppel.kit.cli.files import read_table_file
from koppel.kit.cli.output import AsJson, print_json, print_record, print_rows
from koppel.organisations import bootstrap
from koppel.organisations.access import sessions
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as, current_shell_operator
from koppel.organisations.commands.organisations import link_as_json, print_link
from koppel.organisations.invitations import csv_import
from koppel.organisations.invitations import services as invitations
from koppel.organisations.invitations.csv_import import parse_end_of_day
from koppel.organisations.invitations.inputs import InvitationInput
from koppel.organisations.models import Membership
from koppel.organisations.people import handover
from koppel.organisations.people import services as people_services
from koppel.organisations.people.inputs import HandOverInput
from koppel.organisations.people.list import MemberFilter, list_memberships
from koppel.organisations.people.services import MembershipTerms
from koppel.organisations.roles import Permission, Role

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "name", "email", "role", "active", "expires_at", "divisions")

MembershipId = Annotated[int, typer.Argument(help="Id of the membership; `koppel people list` has them.")]
Divisions = Annotated[list[int] | None, typer.Option("--division", help="Id of a division; may be repeated.")]
Until = Annotated[str, typer.Option(help="Last day of access, 2027-03-31.")]


@app.command("list")
def list_people(
    search: Annotated[str, typer.Option("--search", help="Part of a name or address.")] = "",
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """List current and former members."""
    with acting_as(person, organisation) as actor:
        memberships = list_memberships(actor, MemberFilter(search=search)).prefetch_related("divisions")
        rows = [_to_row(membership) for membership in memberships]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("invite")
def invite_person(
    email: Annotated[str, typer.Argument(help="E-mail address.")],
    name: Annotated[str, typer.Option(help="The person's name.")] = "",
    role: Annotated[Role, typer.Option(help="Role of the person.")] = Role.USER,
    divisions: Divisions = None,
    until: Until = "",
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Invite a person by mail to become a member."""
    with acting_as(person, organisation) as actor:
        ends = parse_end_of_day(until) if until else None
        invitation_input = InvitationInput(
            email=email, name=name, role=role, divisions=divisions or [], until=ends
        )
        created = invitations.invite(actor, invitation_input)
        row = {
            "invitation": created.pk,
            "email": created.email,
            "role": created.role,
            "valid_until": created.valid_until,
        }
        ((_invitation, link),) = invitations.pair_with_links(actor, [created])
        if link:
            row["link"] = link
    print_record(row, as_json=as_json)


@app.command("invite-csv")
def invite_csv(
    file: Annotated[Path, typer.Argument(help="Lines of: e-mail; name; role; divisions; access until.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the result of each line.")] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Invite the people in a file. A line with an error is skipped and reported."""
    text = read_table_file(file, csv_import.LIMITS)
    with acting_as(person, organisation) as actor:
        lines = (csv_import.preview if dry_run else csv_import.invite_all)(actor, text)
    print_rows(lines, ("number", "email", "role", "problem", "invited"), as_json=as_json)


@app.command("update")
def update_membership(
    member: MembershipId,
    role: Annotated[Role | None, typer.Option(help="Role of the person.")] = None,
    divisions: Divisions = None,
    no_division: Annotated[bool, typer.Option("--no-division", help="Remove from all divisions.")] = False,
    until: Annotated[str, typer.Option(help="Last day of access, 2027-03-31; 'never' for no end.")] = "",
    active: Annotated[bool | None, typer.Option("--active/--inactive", help="Give or end access.")] = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Update role, divisions (all of them) and access. What is omitted stays; lost access ends at once."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.MANAGE_PEOPLE)
        terms = people_services.terms_of(people_services.get_member(actor, member))
        new_terms = MembershipTerms(
            role=role or terms.role,
            is_active=terms.is_active if active is None else active,
            expires_at=_end_of_access(until) if until else terms.expires_at,
            divisions=frozenset(divisions or ()) if divisions or no_division else terms.divisions,
        )
        row = _to_row(people_services.update_membership(actor, member, new_terms))
    print_record(row, as_json=as_json)


@app.command("hand-over")
def hand_over(
    member: MembershipId,
    to: Annotated[int, typer.Argument(help="Id of the membership that takes over.")],
    deactivate: Annotated[bool, typer.Option("--deactivate", help="End the first member's access.")] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Hand all items of a member over to a colleague."""
    with acting_as(person, organisation) as actor:
        moved_counts = handover.hand_over(actor, member, HandOverInput(to=to, deactivate=deactivate))
    print_record({"from": member, "to": to, "moved": moved_counts}, as_json=as_json)


@app.command("end-sessions")
def end_sessions(
    member: MembershipId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """End all sessions of a member in this organisation."""
    with acting_as(person, organisation) as actor:
        membership = people_services.get_manageable_member(actor, member)
        count = sessions.end_sessions_of(actor, membership)
    print_record({"id": member, "ended": count}, as_json=as_json)


@app.command("recovery-link")
def print_recovery_link(
    email: Annotated[str, typer.Argument(help="Address of a person with an account or an invitation.")],
    resets_mfa: Annotated[
        bool,
        typer.Option("--reset-mfa", help="Also remove authenticator app and passkeys, when they are lost."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print a link on which a person chooses a password when mail does not arrive. Recorded in the audit
    log.
    """
    created = bootstrap.create_recovery_link(current_shell_operator(), email, resets_mfa=resets_mfa)
    if as_json:
        print_json(link_as_json(created))
    else:
        print_link(created)


def _end_of_access(until: str) -> datetime | None:
    """Read `--until`: the end of a day, or None for 'never'. Raises `Refused`."""
    return None if until == "never" else parse_end_of_day(until)


def _to_row(membership: Membership) -> dict[str, Any]:
    return {
        "id": membership.pk,
        "name": membership.user.name,
        "email": membership.user.email,
        "role": membership.role,
        "active": membership.is_live,
        "expires_at": membership.expires_at,
        "divisions": sorted(link.division_id for link in membership.divisions.all()),
    }
