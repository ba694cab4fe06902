"""`koppel export`: books to files. `koppel sql-readers`: who may read them by SQL."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from koppel.administrations.scope import administration_for
from koppel.books.export import exports
from koppel.books.read import queries
from koppel.books.sql_access import readers as sql_readers
from koppel.kit.cli.errors import Refusal
from koppel.kit.cli.output import AsJson, print_one, print_rows
from koppel.kit.embedded_postgres import administrator_url
from koppel.kit.tabular_export import Format
from koppel.organisations.commands.acting import AsPerson, OfOrganisation, acting

app = typer.Typer(no_args_is_help=True)
readers = typer.Typer(no_args_is_help=True)
Administration = Annotated[
    int, typer.Argument(help="Id of the administration; `koppel administrations list` has them.")
]
Out = Annotated[Path | None, typer.Option("--out", help="File to write; the working directory's own name by default.")]
As = Annotated[Format, typer.Option("--format", help="csv, xlsx or parquet.")]


@app.command("resource")
def resource(
    administration: Administration,
    resource: Annotated[str, typer.Argument(help="accounts, entries, entry_lines …; `koppel export counts` has them.")],
    file_format: As = Format.CSV,
    out: Out = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """One resource of an administration as a file."""
    with acting(person, organisation) as actor:
        one = administration_for(actor, administration)
        _keep(exports.export_resource(actor, one, resource, file_format), out, as_json=as_json)


@app.command("books")
def books(
    administration: Administration,
    file_format: As = Format.PARQUET,
    out: Out = None,
    person: AsPerson = "",
    organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:
    """All books of an administration as one ZIP, with a manifest."""
    with acting(person, organisation) as actor:
        one = administration_for(actor, administration)
        _keep(exports.export_all(actor, one, file_format), out, as_json=as_json)


@app.command("counts")
def counts(
    administration: Administration, person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False
) -> None:
    """How many rows each resource of an administration has."""
    with acting(person, organisation) as actor:
        one = administration_for(actor, administration)
        rows = [{"resource": key, "rows": count} for key, count in queries.counts(one.pk).items()]
    print_rows(rows, ["resource", "rows"], as_json=as_json)


Name = Annotated[str, typer.Argument(help="Short name; the role is called koppel_reader_<name>.")]
AdministratorUrl = Annotated[
    str,
    typer.Option(
        "--administrator-url", help="Who may create roles, where the owner may not and PostgreSQL is your own."
    ),
]


@readers.command("list")
def list_readers(person: AsPerson = "", organisation: OfOrganisation = "", as_json: AsJson = False) -> None:
    """Who may read this organisation's books by SQL."""
    with acting(person, organisation) as actor:
        print_rows(sql_readers.readers(actor), ["role", "made_at", "made_by", "exists"], as_json=as_json)


@readers.command("add")
def add_reader(
    name: Name, administrator: AdministratorUrl = "", person: AsPerson = "", organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let a program read this organisation's books, through the views of the schema books. Prints its address once."""
    with acting(person, organisation) as actor:
        made = sql_readers.add_reader(actor, name, administrator_url=administrator or administrator_url())
    print_one({"role": made.role, "url": made.url.reveal()}, as_json=as_json)


@readers.command("remove")
def remove_reader(
    name: Name, administrator: AdministratorUrl = "", person: AsPerson = "", organisation: OfOrganisation = "",
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """End its sessions and drop its role."""
    with acting(person, organisation) as actor:
        sql_readers.remove_reader(actor, name, administrator_url=administrator or administrator_url())
    print_one({"removed": sql_readers.role_name(name)}, as_json=as_json)


def _keep(exported: exports.Exported, out: Path | None, *, as_json: bool) -> None:
    path = out or Path(exported.file_name)
    if path.is_dir():
        path /= exported.file_name
    try:
        with exported.content, path.open("wb") as target:
            shutil.copyfileobj(exported.content, target)
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error.strerror}.") from None
    print_one({"file": str(path), "bytes": path.stat().st_size}, as_json=as_json)
