"""`koppel quarantine`: keep everything inside the installation. For anyone with the installation's shell."""

from typing import Annotated, Any

import psycopg
import typer
from django.db.utils import ProgrammingError

from koppel.kit import quarantine
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, print_record
from koppel.notifications.pending_messages import count_pending_since_before
from koppel.organisations.commands.acting import current_shell_operator
from koppel.organisations.people import quarantine as operator_quarantine

app = typer.Typer(no_args_is_help=True)

NOT_MIGRATED = (
    "The database has no table for the quarantine yet: run `koppel migrate` first, while nothing else runs."
)
COPY = (
    "This Koppel is a copy of another installation. If it takes the place of the original, end the quarantine"
    " with `koppel adopt`, which makes sure that the original is not running."
)
SendPending = Annotated[
    bool,
    typer.Option("--send-pending", help="Also send mail and webhook messages that waited when it began."),
]


@app.command("on")
def on(as_json: AsJson = False) -> None:
    """Begin quarantine: no calls, email, webhooks or schedule in any process. Queues keep what waits."""
    began = begin()
    print_record({**_facts(), "changed": began}, as_json=as_json)


@app.command("off")
def off(send_pending: SendPending = False, as_json: AsJson = False) -> None:
    """End quarantine. Mail and webhook messages that waited when it began are not sent, and counted here."""
    if (period := quarantine.current()) is not None and period.reason.is_copy:
        raise CommandError(COPY)
    cancelled = operator_quarantine.end(current_shell_operator(), sends_pending=send_pending)
    facts = {**_facts(), "changed": cancelled is not None}
    if cancelled is not None:
        facts |= {"emails_not_sent": cancelled.emails, "webhook_messages_not_sent": cancelled.messages}
    print_record(facts, as_json=as_json)


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """Show whether quarantine is on, since when, by whom, and what waited when it began."""
    facts = _facts()
    if (period := quarantine.current()) is not None:
        pending = count_pending_since_before(period.since)
        facts |= {"emails_from_before": pending.emails, "webhook_messages_from_before": pending.messages}
    print_record(facts, as_json=as_json)


def begin() -> bool:
    """Begin a quarantine in the name of the account of the shell. Return False when one is on. Raises
    `CommandError`.
    """
    try:
        return operator_quarantine.begin(current_shell_operator())
    except ProgrammingError as error:
        if not isinstance(error.__cause__, psycopg.errors.UndefinedTable):
            raise
        raise CommandError(NOT_MIGRATED) from None


def _facts() -> dict[str, Any]:
    period = quarantine.current()
    if period is None:
        return {"quarantine": "off"}
    return {
        "quarantine": "on",
        "since": period.since,
        "by": period.by,
        "reason": period.reason.name.lower(),
    }
