"""`koppel connections`: the actions of the pages of connections, from the shell."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from django.utils.translation import gettext as _

from koppel.connections import lifecycle, queries
from koppel.connections.companies import resolution
from koppel.connections.companies.company_rows import list_company_rows, list_open_changes
from koppel.connections.consent.attempts import begin_attempt
from koppel.connections.display import summaries
from koppel.connections.hooks import RemovalPolicy
from koppel.connections.inputs import ChangeResolution, RemovalInput
from koppel.connections.lifecycle import ownership
from koppel.connections.lifecycle.connection_check import check_connection
from koppel.connections.models import ConsentPurpose
from koppel.kit.cli.output import AsJson, print_json, print_record, print_rows
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as, get_actor
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Permission

app = typer.Typer(no_args_is_help=True)
ConnectionIdArgument = Annotated[
    int, typer.Argument(help="Id of the connection; `koppel connections list` has them.")
]
COLUMNS = (
    "id",
    "system",
    "account",
    "state",
    "administrations",
    "awaiting_sign_in",
    "failing",
    "owner",
    "consent_expires_at",
)


@dataclass(frozen=True)
class ConnectionRow:
    """One connection."""

    id: int
    system: str
    account: str
    state: str
    reason: str
    administrations: int
    awaiting_sign_in: int
    """Administrations that wait for a sign-in."""
    failing: int
    """Administrations that cannot be reached."""
    owner: str
    pending_owner: str | None
    last_contact_at: datetime | None
    consent_expires_at: datetime | None


@app.command("list")
def list_connections(person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False) -> None:
    """List all connections; connections that need a person come first."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
        rows = [_row(card) for card in summaries.list_summaries(actor)]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("show")
def show_connection(
    connection: ConnectionIdArgument,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show a connection with the health of its administrations and its timeline."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
        summary = queries.get_connection(actor, connection)
        line = _row(summaries.summarize(actor, summary))
        companies = [
            {
                "administration": row.administration_id,
                "name": row.administration,
                "health": row.health,
                "message": row.message,
                "since": row.since,
            }
            for row in list_company_rows(actor, summary)
        ]
        timeline = [
            {
                "at": event.at,
                "ended_at": event.ended_at,
                "kind": event.kind,
                "count": event.count,
                "actor_name": event.actor_name,
            }
            for event in queries.timeline(actor, summary)
        ]
    if as_json:
        print_json({"connection": line.__dict__, "administrations": companies, "timeline": timeline})
        return
    print_record(line, as_json=False)
    print_rows(companies, ("administration", "name", "health", "message", "since"), as_json=False)
    print_rows(timeline, ("at", "ended_at", "kind", "count", "actor_name"), as_json=False)


@app.command("test")
def probe_connection(
    connection: ConnectionIdArgument,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Check a connection with one cheap call. Exit code 1 when the accounting system does not answer."""
    check = check_connection(get_actor(person, organisation), connection)
    print_record(check, as_json=as_json)
    raise typer.Exit(0 if check.answered else 1)


@app.command("pause")
def pause_connection(
    connection: ConnectionIdArgument,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Pause a connection: nothing is read until it is resumed."""
    with acting_as(person, organisation) as actor:
        changed = lifecycle.pause_connection(actor, connection)
    print_record({"connection": connection, "changed": changed}, as_json=as_json)


@app.command("resume")
def resume_connection(
    connection: ConnectionIdArgument,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Resume a paused connection."""
    with acting_as(person, organisation) as actor:
        changed = lifecycle.resume_connection(actor, connection)
    print_record({"connection": connection, "changed": changed}, as_json=as_json)


@app.command("reconnect")
def reconnect_connection(
    connection: ConnectionIdArgument,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Print the address at which to sign in again, in a browser that is signed in to Koppel as the same
    member.
    """
    with acting_as(person, organisation) as actor:
        actor.require(Permission.MANAGE_CONNECTIONS)
        summary = queries.get_connection(actor, connection)
        return_path = summary.get_absolute_url()
        url = begin_attempt(
            actor,
            summary.app_id,
            ConsentPurpose.RECONNECT,
            return_path,
            connection_id=summary.pk,
            force_sign_in=True,
        )
    print_record({"connection": connection, "url": url}, as_json=as_json)


@app.command("changes")
def list_changes(
    connection: ConnectionIdArgument,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """List changes at the accounting system that wait for a person; changes that stop a sync come first."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
        rows = list_open_changes(actor, queries.get_connection(actor, connection))
    columns = ("administration", "name", "code", "old", "new", "old_number", "new_number", "fingerprint")
    print_rows(rows, columns, as_json=as_json)


@app.command("resolve")
def resolve_changes(
    connection: ConnectionIdArgument,
    code: Annotated[str, typer.Option(help="Which changes: a code of `koppel connections changes`.")],
    accept: Annotated[
        bool | None,
        typer.Option(
            "--accept/--leave",
            help="Accept the change or not; for other_company: it is the same company, or it is not.",
        ),
    ] = None,
    administration: Annotated[
        list[int] | None, typer.Option(help="An administration; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All changes with this code.")] = False,
    fingerprint: Annotated[
        list[str] | None,
        typer.Option(
            help="The fingerprint that `changes` showed; a change that differs by now is refused. "
            "May be repeated."
        ),
    ] = None,
    same_company: Annotated[
        bool,
        typer.Option(
            "--same-company", help="A new number with another name in the register is this company's."
        ),
    ] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Resolve what changed at the accounting system, for some administrations or for all."""
    with acting_as(person, organisation) as actor:
        actor.require(Permission.IMPORT_ADMINISTRATIONS)
        if accept is None:
            raise Refused(_("Use --accept or --leave."))
        administration_ids = administration or []
        if everything:
            open_changes = list_open_changes(actor, queries.get_connection(actor, connection))
            administration_ids = sorted(
                {change.administration for change in open_changes if change.code == code}
            )
        if not administration_ids and not everything:
            raise Refused(_("Name the administrations, or use --all."))
        data = ChangeResolution(
            administrations=administration_ids,
            code=code,
            accept=accept,
            fingerprints=fingerprint or [],
            same_company=same_company,
        )
        count = resolution.resolve_changes(actor, connection, data) if administration_ids else 0
    print_record({"connection": connection, "code": code, "resolved": count}, as_json=as_json)


@app.command("request-transfer")
def request_transfer(
    connection: ConnectionIdArgument,
    member: Annotated[str, typer.Argument(help="E-mail address of the new owner.")],
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Ask a member to take over. The owner changes when they have signed in at the accounting system."""
    with acting_as(person, organisation) as actor:
        owners = {
            membership.user.email.lower(): membership.pk for membership in ownership.possible_owners(actor)
        }
        changed = ownership.request_transfer(actor, connection, owners.get(member.strip().lower(), 0))
    print_record({"connection": connection, "changed": changed}, as_json=as_json)


@app.command("delete")
def delete_connection(
    connection: ConnectionIdArgument,
    policy: Annotated[
        RemovalPolicy, typer.Option(help="What happens to its administrations: move, wait or deactivate.")
    ],
    yes: Annotated[
        bool, typer.Option("--yes", help="Do it; without this option, only show what would happen.")
    ] = False,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Delete a connection and revoke its tokens at the accounting system. Without --yes, show a preview."""
    with acting_as(person, organisation) as actor:
        removal = lifecycle.preview_removal(actor, connection)
        if yes:
            chosen = RemovalInput(policy=policy, fingerprint=removal.fingerprint)
            removal = lifecycle.remove_connection(actor, connection, chosen)
    context = {
        "connection": connection,
        "account": removal.account,
        "administrations": removal.administrations,
        "reached_elsewhere": removal.reached_elsewhere,
        "policy": policy.value,
        "deleted": yes,
    }
    print_record(context, as_json=as_json)


def _row(card: summaries.ConnectionSummary) -> ConnectionRow:
    connection = card.connection
    return ConnectionRow(
        connection.pk,
        card.system,
        connection.account,
        connection.state,
        render_sentence(connection.reason),
        card.administrations,
        card.awaiting_sign_in,
        card.failing,
        str(connection.owner.user),
        str(connection.pending_owner.user) if connection.pending_owner else None,
        connection.last_contact_at,
        card.consent_expires_at,
    )
