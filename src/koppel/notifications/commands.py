"""`koppel webhooks`: what the pages of webhooks do, from the shell."""

from typing import Annotated, Any

import typer

from koppel.kit.cli.output import AsJson, print_one, print_rows
from koppel.notifications.models import Webhook
from koppel.notifications.webhooks import endpoints
from koppel.notifications.webhooks.endpoints import Wanted
from koppel.organisations.commands.acting import AsPerson, OfOrganisation, acting

app = typer.Typer(no_args_is_help=True)
One = Annotated[int, typer.Argument(help="Id of the webhook; `koppel webhooks list` has them.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="Only this event; may be given several times.")]
Divisions = Annotated[
    list[int] | None, typer.Option("--division", help="Only what touches administrations of this division (id).")
]
COLUMNS = ("id", "name", "url", "events", "divisions", "active", "last_accepted_at", "failing_since", "stopped_because")
LOG = ("id", "created_at", "event", "state", "attempts", "status", "reason")


@app.command("list")
def list_all(person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """All webhooks of the organisation."""
    with acting(person, organisation) as actor:
        rows = [_line(one) for one in endpoints.webhooks_of(actor)]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    url: Annotated[str, typer.Argument(help="Where Koppel calls.")],
    event: Events = None,
    division: Divisions = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Make a webhook. Its secret is printed this once."""
    with acting(person, organisation) as actor:
        one, secret = endpoints.add(actor, Wanted(name, url, event or (), division or ()))
    print_one({**_line(one), "secret": secret.reveal()}, as_json=as_json)


@app.command("remove")
def remove(webhook: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """Remove it with its log."""
    with acting(person, organisation) as actor:
        endpoints.remove(actor, webhook)
    print_one({"webhook": webhook, "removed": True}, as_json=as_json)


@app.command("switch")
def switch(
    webhook: One,
    on: Annotated[bool, typer.Option("--on/--off", help="Tell it of events, or not.")],
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Switch it on or off."""
    with acting(person, organisation) as actor:
        one = endpoints.switch(actor, webhook, on=on)
    print_one(_line(one), as_json=as_json)


@app.command("secret")
def secret(webhook: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """Make a new secret and print it this once; the old one signs too for a day."""
    with acting(person, organisation) as actor:
        fresh = endpoints.renew_secret(actor, webhook)
    print_one({"webhook": webhook, "secret": fresh.reveal()}, as_json=as_json)


@app.command("test")
def send_test(webhook: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """Send a message of no meaning; `koppel webhooks log` tells what came back."""
    with acting(person, organisation) as actor:
        made = endpoints.send_test(actor, webhook)
    print_one({"webhook": webhook, "message": made.message_id}, as_json=as_json)


@app.command("log")
def log(webhook: One, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """What became of its messages, the newest first."""
    with acting(person, organisation) as actor:
        found = endpoints.log_of(actor, webhook)
    print_rows([{name: getattr(one, name) for name in LOG} for one in found], LOG, as_json=as_json)


@app.command("again")
def again(
    webhook: One,
    delivery: Annotated[list[int] | None, typer.Option("--delivery", help="Only this one of the log.")] = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Send messages again: all that failed, or those named."""
    with acting(person, organisation) as actor:
        count = endpoints.redeliver(actor, webhook, delivery)
    print_one({"webhook": webhook, "sent_again": count}, as_json=as_json)


def _line(one: Webhook) -> dict[str, Any]:
    return {
        "id": one.pk,
        "name": one.name,
        "url": one.url,
        "events": list(one.events),
        "divisions": list(one.divisions),
        "active": one.is_active,
        "last_accepted_at": one.last_accepted_at,
        "failing_since": one.failing_since,
        "stopped_because": one.stopped_because,
    }
