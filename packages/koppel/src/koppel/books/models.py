"""The ledger tables, one per resource; the row types in `koppel.connector.rows` declare their columns.

The key of a row is (administration, external_id). `raw` is the vendor's payload, byte for byte.
`content_hash` is its SHA-256 and, in two more bytes, the version of normalisation: a record is written when
it changed at the source, or when another version normalised it. `deleted_at`: a full read proved the record
absent; the row is kept. `partition` names the full read that can prove a row absent (the period of an entry
or balance). The engine writes with COPY and INSERT … SELECT (`koppel.books.storage.writer`,
`koppel.books.storage.staging`); these models are for reading.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import models

from koppel.books.fields import row_columns
from koppel.connector.rows import ROWS
from koppel.kit.hooks import Registry


class BookRow(models.Model):
    """The columns that all tables of the books share."""

    pk = models.CompositePrimaryKey("administration_id", "external_id")
    organisation_id = models.BigIntegerField()
    administration_id = models.BigIntegerField()
    external_id = models.TextField()
    partition = models.TextField(default="")
    raw = models.BinaryField()
    content_hash = models.BinaryField()
    first_seen = models.DateTimeField()
    last_changed = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    if TYPE_CHECKING:

        def __getattr__(self, column: str) -> Any: ...  # the typed columns

    def __str__(self) -> str:
        return self.external_id


POSTED, ACTUAL = "posted", "actual"
"""The status and ledger type of entries that reports include, and the ledger type of balances."""
TIME_COLUMNS = ("first_seen", "last_changed", "deleted_at")
"""Columns that rows are returned with, besides the key and the typed columns."""
MODELS_BY_RESOURCE: Registry[type[BookRow]] = Registry()
"""The table of each resource. `entry_lines` are only written together with `entries`."""

Model = TypeVar("Model", bound=BookRow)


def stores(resource: str) -> Callable[[type[Model]], type[Model]]:
    """Register the decorated model as a resource's table, with a column for each field of its row type."""

    def add_columns(model: type[Model]) -> type[Model]:
        for column in row_columns(ROWS[resource]):
            model.add_to_class(column.name, column.model_field())
        MODELS_BY_RESOURCE.register(resource, model)
        return model

    return add_columns


@stores("company_details")
class CompanyDetail(BookRow):
    class Meta:
        db_table = "books_company_detail"


@stores("accounts")
class Account(BookRow):
    class Meta:
        db_table = "books_account"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_account_code")]


@stores("vat_codes")
class VatCode(BookRow):
    class Meta:
        db_table = "books_vat_code"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_vat_code_code")]


@stores("journals")
class Journal(BookRow):
    class Meta:
        db_table = "books_journal"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_journal_code")]


@stores("periods")
class Period(BookRow):
    class Meta:
        db_table = "books_period"
        indexes = [models.Index(fields=["administration_id", "period"], name="books_period_period")]


@stores("cost_codes")
class CostCode(BookRow):
    class Meta:
        db_table = "books_cost_code"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_cost_code_code")]


@stores("projects")
class Project(BookRow):
    class Meta:
        db_table = "books_project"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_project_code")]


@stores("contacts")
class Contact(BookRow):
    class Meta:
        db_table = "books_contact"
        indexes = [models.Index(fields=["administration_id", "name"], name="books_contact_name")]


@stores("payment_terms")
class PaymentTerm(BookRow):
    class Meta:
        db_table = "books_payment_term"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_payment_term_code")]


@stores("balances")
class Balance(BookRow):
    class Meta:
        db_table = "books_balance"
        indexes = [models.Index(fields=["administration_id", "account"], name="books_balance_account")]


@stores("entries")
class Entry(BookRow):
    class Meta:
        db_table = "books_entry"
        indexes = [
            models.Index(fields=["administration_id", "period"], name="books_entry_period"),
            models.Index(fields=["administration_id", "booked_on"], name="books_entry_booked_on"),
        ]


@stores("entry_lines")
class EntryLine(BookRow):
    class Meta:
        db_table = "books_entry_line"
        indexes = [
            models.Index(fields=["administration_id", "entry"], name="books_entry_line_entry"),
            models.Index(fields=["administration_id", "account"], name="books_entry_line_account"),
        ]
