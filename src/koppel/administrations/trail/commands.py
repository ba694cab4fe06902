"""`koppel activity`: who did what, from the shell."""

from datetime import date
from typing import Annotated

import typer

from koppel.administrations.trail.reading import entries_for, veil_for
from koppel.administrations.trail.words import Words
from koppel.audit.models import Door
from koppel.audit.queries import Asked
from koppel.cli.doors import AsJson, AsPerson, OfOrganisation, acting, print_rows
from koppel.cli.errors import Refusal
from koppel.kit.parameters import day_of

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("at", "actor", "door", "act", "subject", "changes")


@app.callback()
def activity() -> None:
    """Who did what, and when."""


@app.command("list")
def list_all(
    words: Annotated[str, typer.Option("--search", help="Part of a person's or a subject's name.")] = "",
    act: Annotated[str, typer.Option(help="Only this act, 'administration.restricted'.")] = "",
    door: Annotated[Door | None, typer.Option(help="Only what came in this way.")] = None,
    since: Annotated[str, typer.Option(help="From this day on, 2026-12-31.")] = "",
    until: Annotated[str, typer.Option(help="Up to this day, included.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 200,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """The trail of acts, the newest first; with what changed, in names; with `--json` the ids before and after too."""
    asked = Asked(words=words, act=act, door=door, since=_day(since), until=_day(until))
    with acting(person, organisation) as actor:
        veil, in_words = veil_for(actor), Words(actor)
        rows = [
            {
                "at": one.at, "actor": one.actor_name or "Koppel", "kind": one.actor_kind, "from": one.from_address,
                "door": one.door, "act": one.act, "subject_kind": one.subject_kind, "subject_id": one.subject_id,
                "subject": in_words.subject(one), "details": one.details, "changes": in_words.details(one),
            }
            for one in map(veil.over, entries_for(actor, asked, veil)[:limit])
        ]  # fmt: skip
    print_rows(rows, COLUMNS, as_json=as_json)


def _day(text: str) -> date | None:
    if text and day_of(text) is None:
        raise Refusal(f"{text!r} is not a date like 2026-12-31.")
    return day_of(text)
