"""`koppel export`: books to files. `koppel sql-readers`: SQL access to books."""

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from django.utils import translation

from koppel.administrations.access import administration_for
from koppel.books import export
from koppel.books.read import queries
from koppel.books.sql_access import readers as sql_readers
from koppel.kit.cli.errors import CommandError
from koppel.kit.cli.output import AsJson, InLanguage, Language, print_record, print_rows
from koppel.kit.database.embedded_postgres import administrator_url
from koppel.kit.tabular.writers import Format
from koppel.organisations.commands.acting import ActAs, InOrganisation, acting_as

app = typer.Typer(no_args_is_help=True)
readers = typer.Typer(no_args_is_help=True)
Administration = Annotated[
    int, typer.Argument(help="Id of the administration; `koppel administrations list` has them.")
]
OutputFile = Annotated[
    Path | None, typer.Option("--out", help="File to write; default: a file in the working directory.")
]
FileFormat = Annotated[Format, typer.Option("--format", help="csv, xlsx, parquet or plain-csv.")]


@app.command("resource")
def export_resource(
    administration: Administration,
    resource: Annotated[
        str, typer.Argument(help="accounts, entries, entry_lines …; `koppel export counts` has them.")
    ],
    file_format: FileFormat = Format.CSV,
    out: OutputFile = None,
    language: InLanguage = Language.ENGLISH,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Export one resource of an administration as a file."""
    with acting_as(person, organisation) as actor, translation.override(language):
        target = administration_for(actor, administration)
        _write_file(export.export_resource(actor, target, resource, file_format), out, as_json=as_json)


@app.command("books")
def export_books(
    administration: Administration,
    file_format: FileFormat = Format.PARQUET,
    out: OutputFile = None,
    language: InLanguage = Language.ENGLISH,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Export all books of an administration as one ZIP with a manifest."""
    with acting_as(person, organisation) as actor, translation.override(language):
        target = administration_for(actor, administration)
        _write_file(export.export_all(actor, target, file_format), out, as_json=as_json)


@app.command("counts")
def show_counts(
    administration: Administration,
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Show how many rows each resource of an administration has."""
    with acting_as(person, organisation) as actor:
        target = administration_for(actor, administration)
        rows = [{"resource": key, "rows": count} for key, count in queries.counts(target.pk).items()]
    print_rows(rows, ["resource", "rows"], as_json=as_json)


Name = Annotated[str, typer.Argument(help="Short name; the role is called koppel_reader_<name>.")]
AdministratorUrl = Annotated[
    str,
    typer.Option(
        "--administrator-url", help="Address of a role that may create roles, where the owner may not."
    ),
]


@readers.command("list")
def list_readers(person: ActAs = "", organisation: InOrganisation = "", as_json: AsJson = False) -> None:
    """List the SQL readers of this organisation."""
    with acting_as(person, organisation) as actor:
        print_rows(
            sql_readers.readers(actor), ["role", "created_at", "created_by", "exists"], as_json=as_json
        )


@readers.command("create")
def create_reader(
    name: Name,
    administrator: AdministratorUrl = "",
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """Create a SQL reader: a database role that reads this organisation's books.

    It uses the views of the schema books. Prints its database URL once.
    """
    with acting_as(person, organisation) as actor:
        created = sql_readers.add_reader(actor, name, administrator_url=administrator or administrator_url())
    print_record({"role": created.role, "url": created.url.reveal()}, as_json=as_json)


@readers.command("delete")
def delete_reader(
    name: Name,
    administrator: AdministratorUrl = "",
    person: ActAs = "",
    organisation: InOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """End the sessions of a SQL reader and drop its role."""
    with acting_as(person, organisation) as actor:
        sql_readers.remove_reader(actor, name, administrator_url=administrator or administrator_url())
    print_record({"deleted": sql_readers.role_name(name)}, as_json=as_json)


@readers.command("superuser-script")
def print_superuser_script() -> None:
    """Print the SQL that a superuser runs before the first SQL reader.

    Repeat it after a restore and after a new major version of PostgreSQL.
    """
    sys.stdout.write(f"{sql_readers.superuser_script()}\n")


def _write_file(exported: export.Exported, out: Path | None, *, as_json: bool) -> None:
    path = out or Path(exported.file_name)
    if path.is_dir():
        path /= exported.file_name
    try:
        with exported.content, path.open("wb") as target:
            shutil.copyfileobj(exported.content, target)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}.") from None
    print_record({"file": str(path), "bytes": path.stat().st_size}, as_json=as_json)
