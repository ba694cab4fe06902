"""`koppel administrations`: list, show and export administrations."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer
from django.utils import translation

from koppel.administrations.access import administration_for
from koppel.administrations.commands.arguments import AdministrationId
from koppel.administrations.display_state import display_state, display_states
from koppel.administrations.effective_settings import COMPARED_KEYS, effective_settings
from koppel.administrations.list.cell_values import display_number
from koppel.administrations.list.export import export_list
from koppel.administrations.list.query import parse_query_string
from koppel.administrations.list.queryset import search
from koppel.administrations.models import Administration
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import ROWS_MAX, AsJson, InLanguage, Language, print_record, print_rows
from koppel.kit.tabular.writers import Format
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as

app = typer.Typer(no_args_is_help=True)
COLUMNS = ("id", "name", "number", "client_number", "status", "division", "template", "complete_as_of")


@app.command("list")
def list_administrations(
    matching: Annotated[
        str, typer.Option("--filter", help="As in the list's address bar: 'q=bakker&status=failed'.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, max=ROWS_MAX, help="Maximum number.")] = 200,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """List the administrations that you may see, filtered and sorted as on the page."""
    with acting_as(person, organisation) as actor:
        administrations = list(search(actor, parse_query_string(matching))[:limit])
        states = display_states(actor, administrations)
        rows = [_row(administration, states[administration.pk]) for administration in administrations]
    print_rows(rows, COLUMNS, as_json=as_json)


@app.command("show")
def show_administration(
    administration_id: AdministrationId,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show an administration with its settings and the origin of each."""
    with acting_as(person, organisation) as actor:
        administration = administration_for(actor, administration_id)
        row = _row(administration, display_state(actor, administration)) | {
            "restricted": administration.restricted,
            "client_left_on": administration.client_left_on,
            "settings": settings_row(administration),
        }
    print_record(row, as_json=as_json)


@app.command("export")
def export_administrations(
    matching: Annotated[
        str, typer.Option("--filter", help="As in the list's address bar, columns too.")
    ] = "",
    file_format: Annotated[
        Format, typer.Option("--format", help="csv, xlsx, parquet or plain-csv.")
    ] = Format.CSV,
    out: Annotated[Path, typer.Option("--out", help="File to write.")] = Path("administrations.csv"),
    language: InLanguage = Language.ENGLISH,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Write the list to a file."""
    with (
        acting_as(person, organisation) as actor,
        translation.override(language),
        export_list(actor, parse_query_string(matching), file_format) as content,
    ):
        try:
            with out.open("wb") as target:
                shutil.copyfileobj(content, target)
        except OSError as error:
            raise CommandError(f"{out} cannot be written: {error.strerror}.") from None
    print_record({"file": str(out), "bytes": out.stat().st_size}, as_json=as_json)


def _row(administration: Administration, state: str) -> dict[str, Any]:
    return {
        "id": administration.pk,
        "name": administration.name,
        "number": display_number(administration),
        "client_number": administration.client_number,
        "code": administration.remote_company.code,
        "status": state,
        "division": administration.division.name if administration.division else None,
        "template": administration.template.name if administration.template else None,
        "sector": administration.sector,
        "complete_as_of": administration.complete_as_of,
    }


def settings_row(administration: Administration) -> dict[str, Any]:
    effective = effective_settings(administration)
    settings: dict[str, Any] = {
        key: {"value": getattr(effective, key), "source": effective.sources[key].value}
        for key in COMPARED_KEYS
        if key != "notify"
    }
    audiences = {
        event: {"value": effective.notify[event], "source": source.value}
        for event, source in effective.audience_sources.items()
    }
    return {**settings, "notify": audiences}
