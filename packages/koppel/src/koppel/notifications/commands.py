"""The commands `koppel webhooks …`."""

from typing import Annotated, Any

import typer

from koppel.kit.cli.output import AsJson, print_record, print_rows
from koppel.notifications.models import WebhookEndpoint
from koppel.notifications.webhooks import delivery_log, endpoint_state, endpoints
from koppel.notifications.webhooks.inputs import WebhookInput
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as

app = typer.Typer(no_args_is_help=True)
WebhookId = Annotated[int, typer.Argument(help="Id of the webhook; `koppel webhooks list` has them.")]
Events = Annotated[list[str] | None, typer.Option("--event", help="Only this event; may be repeated.")]
Divisions = Annotated[
    list[int] | None, typer.Option("--division", help="Only events of administrations in this division (id).")
]
COLUMNS = (
    "id",
    "name",
    "url",
    "events",
    "divisions",
    "enabled",
    "last_accepted_at",
    "failing_since",
    "disabled_reason",
)
DELIVERY_COLUMNS = ("id", "created_at", "event", "state", "attempts", "response_status", "reason")


@app.command("list")
def list_webhooks(person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False) -> None:
    """List the organisation's webhooks."""
    with acting_as(person, organisation) as actor:
        rows = [_to_row(webhook) for webhook in endpoints.list_webhooks(actor)]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("create")
def create_webhook(
    name: Annotated[str, typer.Argument(help="Purpose.")],
    url: Annotated[str, typer.Argument(help="Address that Koppel calls.")],
    event: Events = None,
    division: Divisions = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Create a webhook. Its secret is printed once."""
    with acting_as(person, organisation) as actor:
        created, secret = endpoints.create_webhook(
            actor, WebhookInput(name=name, url=url, events=event or [], divisions=division or [])
        )
    print_record({**_to_row(created), "secret": secret.reveal()}, as_json=as_json)


@app.command("delete")
def delete_webhook(
    webhook: WebhookId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Delete a webhook with its log."""
    with acting_as(person, organisation) as actor:
        endpoints.remove_webhook(actor, webhook)
    print_record({"webhook": webhook, "deleted": True}, as_json=as_json)


@app.command("enable")
def enable_webhook(
    webhook: WebhookId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Enable a webhook: it receives the messages of later events."""
    with acting_as(person, organisation) as actor:
        enabled = endpoint_state.enable(actor, webhook)
    print_record(_to_row(enabled), as_json=as_json)


@app.command("disable")
def disable_webhook(
    webhook: WebhookId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Disable a webhook. Its waiting messages fail; they can be redelivered once it is enabled."""
    with acting_as(person, organisation) as actor:
        disabled = endpoint_state.disable(actor, webhook)
    print_record(_to_row(disabled), as_json=as_json)


@app.command("rotate-secret")
def rotate_secret(
    webhook: WebhookId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Replace the secret and print the new one once. For a day messages are signed with both."""
    with acting_as(person, organisation) as actor:
        new_secret = endpoints.rotate_secret(actor, webhook)
    print_record({"webhook": webhook, "secret": new_secret.reveal()}, as_json=as_json)


@app.command("test")
def send_test(
    webhook: WebhookId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """Send a test message; `koppel webhooks deliveries` shows the answer."""
    with acting_as(person, organisation) as actor:
        delivery = delivery_log.send_test(actor, webhook)
    print_record({"webhook": webhook, "message": delivery.message_id}, as_json=as_json)


@app.command("deliveries")
def list_deliveries(
    webhook: WebhookId, person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False
) -> None:
    """List the messages of a webhook and their outcome, newest first."""
    with acting_as(person, organisation) as actor:
        deliveries = delivery_log.list_deliveries(actor, webhook)
    print_rows(
        [{name: getattr(delivery, name) for name in DELIVERY_COLUMNS} for delivery in deliveries],
        DELIVERY_COLUMNS,
        as_json=as_json,
    )


@app.command("redeliver")
def redeliver(
    webhook: WebhookId,
    delivery: Annotated[
        list[int] | None, typer.Option("--delivery", help="Only this message of the log.")
    ] = None,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Send messages again: all that failed, or those named."""
    with acting_as(person, organisation) as actor:
        count = delivery_log.redeliver(actor, webhook, delivery)
    print_record({"webhook": webhook, "sent_again": count}, as_json=as_json)


def _to_row(webhook: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "name": webhook.name,
        "url": webhook.url,
        "events": list(webhook.events),
        "divisions": list(webhook.divisions),
        "enabled": webhook.is_enabled,
        "last_accepted_at": webhook.last_accepted_at,
        "failing_since": webhook.failing_since,
        "disabled_reason": webhook.disabled_reason,
    }
