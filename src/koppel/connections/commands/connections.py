"""`koppel connections`: what the pages of connections do, from the shell."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import typer
from django.utils.translation import gettext as _

from koppel.cli.doors import (
    AsJson,
    AsPerson,
    OfOrganisation,
    acting,
    actor_named,
    print_json,
    print_one,
    print_rows,
    refusals,
)
from koppel.connections import overview, ownership, queries, repair, settling
from koppel.connections.consent import begin_consent
from koppel.connections.dependants import Fate
from koppel.connections.models import ConsentPurpose
from koppel.connections.probe import probe as call
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Permission

app = typer.Typer(no_args_is_help=True)
One = Annotated[int, typer.Argument(help="Id of the connection; `koppel connections list` has them.")]
COLUMNS = ("id", "system", "account", "state", "administrations", "waiting", "troubled", "owner", "consent_until")


@dataclass(frozen=True)
class Line:
    """One connection. `waiting` administrations wait for a sign-in; `troubled` ones cannot be reached."""

    id: int
    system: str
    account: str
    state: str
    reason: str
    administrations: int
    waiting: int
    troubled: int
    owner: str
    next_owner: str | None
    last_contact_at: datetime | None
    consent_until: datetime | None


@app.command("list")
def list_all(person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """All connections; those that need somebody first."""
    with acting(person, organisation) as actor:
        actor.require(Permission.IMPORT)
        rows = [_line(card) for card in overview.cards(actor)]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("show")
def show(connection: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """One connection with the health of its administrations and its timeline."""
    with acting(person, organisation) as actor:
        actor.require(Permission.IMPORT)
        one = queries.connection_for(actor, connection)
        line = _line(overview.card_of(one))
        companies = [
            {"administration": row.administration_id, "name": row.administration, "health": row.health,
             "sentence": row.sentence, "since": row.since}
            for row in overview.company_rows(actor, one)
        ]  # fmt: skip
        timeline = [
            {"at": event.at, "until": event.until, "kind": event.kind, "times": event.times, "by": event.actor_name}
            for event in queries.timeline(actor, one)
        ]
    if as_json:
        print_json({"connection": line.__dict__, "administrations": companies, "timeline": timeline})
        return
    print_one(line, as_json=False)
    print_rows(companies, ("administration", "name", "health", "sentence", "since"), as_json=False)
    print_rows(timeline, ("at", "until", "kind", "times", "by"), as_json=False)


@app.command("probe")
def probe(connection: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """One cheap call, now. Exit code 1 when the accounting system does not answer."""
    with refusals():
        found = call(actor_named(person, organisation), connection)
    print_one(found, as_json=as_json)
    raise typer.Exit(0 if found.answered else 1)


@app.command("pause")
def pause(connection: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """Nothing is read until it is resumed."""
    with acting(person, organisation) as actor:
        changed = repair.pause(actor, connection)
    print_one({"connection": connection, "changed": changed}, as_json=as_json)


@app.command("resume")
def resume(connection: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """What waited goes on."""
    with acting(person, organisation) as actor:
        changed = repair.resume(actor, connection)
    print_one({"connection": connection, "changed": changed}, as_json=as_json)


@app.command("reconnect")
def reconnect(
    connection: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False
) -> None:
    """Print the address at which to sign in again, in a browser that is signed in to Koppel as the same member."""
    with acting(person, organisation) as actor:
        actor.require(Permission.CONNECTIONS)
        one = queries.connection_for(actor, connection)
        back = f"/connections/{one.pk}/"
        url = begin_consent(
            actor, one.app_id, ConsentPurpose.RECONNECT, back, connection_id=one.pk, force_sign_in=True
        )  # fmt: skip
    print_one({"connection": connection, "url": url}, as_json=as_json)


@app.command("changes")
def changes(connection: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """What is different at the accounting system and waits for a person, those that stop a sync first."""
    with acting(person, organisation) as actor:
        actor.require(Permission.IMPORT)
        rows = overview.open_changes(actor, queries.connection_for(actor, connection))
    columns = ("administration", "name", "code", "old", "new", "old_number", "new_number", "mark")
    print_rows(rows, columns, as_json=as_json)


@app.command("settle")
def settle(
    connection: One,
    code: Annotated[str, typer.Option(help="Which changes: a code of `koppel connections changes`.")],
    take: Annotated[
        bool | None,
        typer.Option(
            "--take/--leave",
            help="Take the change over or leave it; for other_company: it is the same company, or it is not.",
        ),
    ] = None,
    administration: Annotated[list[int] | None, typer.Option(help="An administration; may be repeated.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that have this code.")] = False,
    mark: Annotated[
        list[str] | None,
        typer.Option(
            help="The mark that `changes` showed; what says something else by now is refused. May be repeated."
        ),
    ] = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Settle what changed at the accounting system, for some administrations or for all."""
    with acting(person, organisation) as actor:
        actor.require(Permission.IMPORT)
        if take is None:
            raise Refused(_("Say --take or --leave."))
        chosen = administration or []
        if everything:
            found = overview.open_changes(actor, queries.connection_for(actor, connection))
            chosen = sorted({one.administration for one in found if one.code == code})
        if not chosen and not everything:
            raise Refused(_("Name the administrations, or say --all."))
        count = settling.settle_changes(actor, connection, chosen, code, take=take, shown=mark or ()) if chosen else 0
    print_one({"connection": connection, "code": code, "settled": count}, as_json=as_json)


@app.command("owner")
def owner(
    connection: One,
    member: Annotated[str, typer.Argument(help="E-mail address of the member who is to take over.")],
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Ask somebody to take over; it changes when they have signed in at the accounting system."""
    with acting(person, organisation) as actor:
        found = {one.user.email.lower(): one.pk for one in ownership.possible_owners(actor)}
        changed = ownership.ask_to_take_over(actor, connection, found.get(member.strip().lower(), 0))
    print_one({"connection": connection, "changed": changed}, as_json=as_json)


@app.command("remove")
def remove(
    connection: One,
    administrations: Annotated[Fate, typer.Option(help="What becomes of them: move, wait or deactivate.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would happen.")] = False,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """End a connection and withdraw its tokens at the accounting system. Without --yes, a preview."""
    with acting(person, organisation) as actor:
        found = repair.preview_removal(actor, connection)
        if yes:
            found = repair.remove(actor, connection, administrations, seen=found.seen)
    facts = {
        "connection": connection, "account": found.account, "administrations": found.administrations,
        "reached_elsewhere": found.reached_elsewhere, "fate": administrations.value, "removed": yes,
    }  # fmt: skip
    print_one(facts, as_json=as_json)


def _line(card: overview.Card) -> Line:
    one = card.connection
    return Line(
        one.pk, card.system, one.account, one.state, one.reason, card.administrations, card.waiting, card.troubled,
        str(one.owner.user), str(one.next_owner.user) if one.next_owner else None, one.last_contact_at, card.ends,
    )  # fmt: skip
