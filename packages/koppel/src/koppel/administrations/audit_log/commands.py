"""`koppel activity`: show the audit log."""

from datetime import date
from typing import Annotated

import typer

from koppel.administrations.audit_log.reading import list_entries, redactor_for
from koppel.administrations.audit_log.rendering import AuditRenderer
from koppel.audit.models import Interface
from koppel.audit.queries import AuditFilter
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import ROWS_MAX, AsJson, print_rows
from koppel.kit.web.parameters import day_of
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("at", "actor", "interface", "action", "subject", "changes")


@app.callback()
def activity() -> None:
    """Show who did what, and when."""


@app.command("list")
def list_all(
    search: Annotated[str, typer.Option("--search", help="Part of a person's or a subject's name.")] = "",
    action: Annotated[str, typer.Option(help="Only this action, 'administration.restricted'.")] = "",
    interface: Annotated[Interface | None, typer.Option(help="Only this interface.")] = None,
    since: Annotated[str, typer.Option(help="From this day on, 2026-12-31.")] = "",
    until: Annotated[str, typer.Option(help="Up to this day, included.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="Maximum number, newest first.")] = 200,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """List the audit log, newest first, with what changed, in names; with `--json` also the ids before and
    after.
    """
    audit_filter = AuditFilter(
        search_text=search, action=action, interface=interface, since=_day(since), until=_day(until)
    )
    with acting_as(person, organisation) as actor:
        redactor, in_words = redactor_for(actor), AuditRenderer(actor)
        rows = [
            {
                "at": entry.at,
                "actor": entry.actor_name or "Koppel",
                "kind": entry.actor_kind,
                "from": entry.ip_address,
                "interface": entry.interface,
                "action": entry.action,
                "subject_kind": entry.subject_kind,
                "subject_id": entry.subject_id,
                "subject": in_words.subject_name(entry),
                "details": entry.details,
                "changes": in_words.details(entry),
            }
            for entry in map(redactor.redact, list_entries(actor, audit_filter, redactor)[:limit])
        ]
    print_rows(rows, COLUMNS, as_json=as_json)


def _day(text: str) -> date | None:
    if text and day_of(text) is None:
        raise CommandError(f"{text!r} is not a date like 2026-12-31.")
    return day_of(text)
