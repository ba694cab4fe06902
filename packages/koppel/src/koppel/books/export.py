"""Exports books: one resource as CSV, Excel or Parquet, or all resources in one ZIP. Audited."""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

from django.db import connection as django_connection
from django.db import models
from django.utils.translation import gettext as _

from koppel.administrations.models import Administration
from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.books.audit_actions import BooksAction
from koppel.books.errors import UnknownResource
from koppel.books.fields import Amount
from koppel.books.models import MODELS_BY_RESOURCE, Entry
from koppel.books.read import labels, queries
from koppel.books.read.export_columns import ENTRY_LINE_COLUMNS, EXPORT_COLUMNS, TRIAL_BALANCE_FILTER
from koppel.connector.period_format import format_period
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tabular.export_limit import export_slot
from koppel.kit.tabular.writers import Cell, ColumnType, FileColumn, Format, temporary_file, write_table
from koppel.organisations.roles import Actor, Permission

FETCH_BATCH_SIZE = 5000
WORDS_CACHED = 1000
"""A source may write any text in a column of words."""
_LINES_WITH_ENTRY = load_statements("koppel.books")["list_lines_with_entry"].format(
    columns=", ".join(f"{'entry' if model is Entry else 'line'}.{name}" for model, name in ENTRY_LINE_COLUMNS)
)
_KINDS: tuple[tuple[type, ColumnType], ...] = (
    (Amount, ColumnType.AMOUNT),
    (models.DateTimeField, ColumnType.DATETIME),
    (models.DateField, ColumnType.DATE),
    (models.BooleanField, ColumnType.BOOLEAN),
    (models.IntegerField, ColumnType.INTEGER),
)
_FOR_PROGRAMS = (Format.PLAIN_CSV, Format.PARQUET)
EXPORTED = tuple(EXPORT_COLUMNS)


@dataclass(frozen=True)
class Exported:
    """An exported file."""

    file_name: str
    content: IO[bytes]
    """Rewound, and deleted when closed."""


def export_resource(
    actor: Actor, administration: Administration, resource: str, file_format: Format, *, search: str = ""
) -> Exported:
    """Export the rows of one resource that match the search.

    Raises `UnknownResource`, `TooManyRows` and `TooManyRequests`.
    """
    actor.require(Permission.VIEW)
    rows = _rows(administration.pk, resource, search)
    with export_slot(actor.organisation_id):
        content = write_table(file_format, columns_of(resource), rows, title=str(labels.RESOURCES[resource]))
    record_export(actor, administration, [resource], file_format)
    return Exported(f"{file_stem(administration)}-{resource}.{file_format.extension}", content)


def export_all(actor: Actor, administration: Administration, file_format: Format) -> Exported:
    """Export every resource in a ZIP, with a manifest.

    `manifest.json` has the rows per resource, the time that they are complete as of, and which entry lines
    add up to the trial balance. Raises `TooManyRows` and `TooManyRequests`.
    """
    actor.require(Permission.VIEW)
    counts: Counter[str] = Counter()
    with (
        export_slot(actor.organisation_id),
        temporary_file() as target,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for resource in EXPORTED:
            rows = _count_rows(_rows(administration.pk, resource, ""), counts, resource)
            with (
                write_table(
                    file_format, columns_of(resource), rows, title=str(labels.RESOURCES[resource])
                ) as table,
                archive.open(f"{resource}.{file_format.extension}", "w", force_zip64=True) as member,
            ):
                while chunk := table.read(1 << 20):
                    member.write(chunk)
        # Written last: a sync may run meanwhile, and the manifest describes what was written.
        archive.writestr(
            "manifest.json", json.dumps(_manifest(administration, counts, file_format), indent=1)
        )
    target.seek(0)
    record_export(actor, administration, list(EXPORTED), file_format)
    return Exported(f"{file_stem(administration)}-books.zip", target)


def columns_of(resource: str) -> list[FileColumn]:
    """Return the columns of a resource. Raises `UnknownResource`."""
    if resource == "entry_lines":
        return [_column(model, name) for model, name in ENTRY_LINE_COLUMNS]
    if resource not in EXPORT_COLUMNS:
        names = ", ".join(EXPORTED)
        raise UnknownResource(
            _("There is no resource “%(name)s”. Possible: %(names)s.") % {"name": resource, "names": names}
        )
    return [_column(MODELS_BY_RESOURCE[resource], name) for name in EXPORT_COLUMNS[resource]]


def file_stem(administration: Administration) -> str:
    """Return a file name without extension that every file system accepts."""
    letters = "".join(letter if letter.isalnum() else "-" for letter in administration.name.lower())
    return "-".join(filter(None, letters.split("-")))[:60] or f"administration-{administration.pk}"


def _rows(administration_id: int, resource: str, search: str) -> Iterator[Sequence[Cell]]:
    if resource != "entry_lines":
        yield from queries.all_rows(administration_id, resource, EXPORT_COLUMNS[resource], search=search)
        return
    with django_connection.chunked_cursor() as cursor:
        cursor.execute(_LINES_WITH_ENTRY, {"administration": administration_id})
        while fetched := cursor.fetchmany(FETCH_BATCH_SIZE):
            yield from fetched


def _count_rows(
    rows: Iterator[Sequence[Cell]], counts: Counter[str], resource: str
) -> Iterator[Sequence[Cell]]:
    for row in rows:
        counts[resource] += 1
        yield row


def labelled_column(name: str, column_type: ColumnType = ColumnType.TEXT) -> FileColumn:
    """Return a column of the books with the accountant's words for its title and its values."""
    # A column has few words and many rows, and a translation costs more than all else of a cell.
    words = lru_cache(WORDS_CACHED)(labels.value_label) if name in labels.CODED else None
    display = format_period if name == "period" else words
    return FileColumn(key=name, title=str(labels.COLUMNS.get(name, name)), type=column_type, display=display)


def _column(model: type[models.Model], name: str) -> FileColumn:
    field: models.Field[Any, Any] = model._meta.get_field(name)  # type: ignore[assignment]
    return labelled_column(
        name, next((kind for cls, kind in _KINDS if isinstance(field, cls)), ColumnType.TEXT)
    )


def _manifest(administration: Administration, counts: Counter[str], file_format: Format) -> dict[str, Any]:
    return {
        "administration": administration.name,
        "number": administration.number,
        "country": administration.country,
        "currency": administration.base_currency,
        "complete_as_of": administration.complete_as_of.isoformat()
        if administration.complete_as_of
        else None,
        "rows": {key: counts[key] for key in EXPORTED},
        "trial_balance": {
            "file": f"entry_lines.{file_format.extension}",
            "filter": _trial_balance_filter(file_format),
        },
    }


def _trial_balance_filter(file_format: Format) -> dict[str, str]:
    """Return which entry lines add up to the trial balance, in the headings and words of the file."""
    if file_format in _FOR_PROGRAMS:
        return dict(TRIAL_BALANCE_FILTER)
    columns = {column.key: column for column in columns_of("entry_lines")}
    return {columns[key].title: labels.value_label(value) for key, value in TRIAL_BALANCE_FILTER.items()}


def record_export(
    actor: Actor, administration: Administration, resources: list[str], file_format: Format
) -> None:
    """Audit an export."""
    details = {"resources": resources, "format": str(file_format)}
    subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
    add_audit_entry(
        actor.organisation_id, actor.audit, BooksAction.EXPORTED, subject=subject, details=details
    )
