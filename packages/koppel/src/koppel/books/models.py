"""Canonical ledger tables, one per resource. The typed columns are those of `koppel.connector.rows`, in its
order.

Every row is kept under (administration, external_id). `raw` is the vendor's payload, byte for byte;
`content_hash` is its SHA-256, so that an unchanged record writes nothing. `deleted_at`: proved absent by a
complete read; the row itself stays. `partition` names the complete read that can prove a row absent (the
period of an entry or balance). The engine writes with COPY and INSERT … SELECT
(`koppel.books.storage.writer`, `koppel.books.storage.staging`); these models are for reading.
"""

from django.db import models

from koppel.books.fields import Amount


class BookRow(models.Model):
    """What every table of the books has besides its typed columns."""

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

    def __str__(self) -> str:
        return self.external_id


class CompanyDetail(BookRow):
    name = models.TextField()
    number = models.TextField(null=True)
    vat_number = models.TextField(null=True)
    country = models.TextField(null=True)
    base_currency = models.TextField(null=True)
    address = models.TextField(null=True)
    city = models.TextField(null=True)
    industry_code = models.TextField(null=True)

    class Meta:
        db_table = "books_company_detail"


class Account(BookRow):
    code = models.TextField()
    name = models.TextField()
    kind = models.TextField()
    account_class = models.TextField(null=True)
    active = models.BooleanField()
    currency = models.TextField(null=True)
    vat_code = models.TextField(null=True)

    class Meta:
        db_table = "books_account"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_account_code")]


class VatCode(BookRow):
    code = models.TextField()
    name = models.TextField()
    rate = Amount(null=True)
    direction = models.TextField(null=True)
    reverse_charge = models.BooleanField()
    valid_until = models.DateField(null=True)

    class Meta:
        db_table = "books_vat_code"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_vat_code_code")]


class Journal(BookRow):
    code = models.TextField()
    name = models.TextField()
    ledger = models.TextField(null=True)
    module = models.TextField(null=True)
    balance_type = models.TextField()
    currency = models.TextField(null=True)

    class Meta:
        db_table = "books_journal"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_journal_code")]


class Period(BookRow):
    period = models.TextField()
    fiscal_year = models.TextField()
    number = models.IntegerField()
    name = models.TextField(null=True)
    starts_on = models.DateField(null=True)
    ends_on = models.DateField(null=True)
    closed = models.BooleanField()

    class Meta:
        db_table = "books_period"
        indexes = [models.Index(fields=["administration_id", "period"], name="books_period_period")]


class CostCode(BookRow):
    dimension = models.TextField()
    code = models.TextField()
    name = models.TextField()
    active = models.BooleanField()

    class Meta:
        db_table = "books_cost_code"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_cost_code_code")]


class Project(BookRow):
    code = models.TextField()
    name = models.TextField()
    status = models.TextField(null=True)
    customer = models.TextField(null=True)
    starts_on = models.DateField(null=True)
    ends_on = models.DateField(null=True)

    class Meta:
        db_table = "books_project"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_project_code")]


class Contact(BookRow):
    kind = models.TextField()
    code = models.TextField()
    name = models.TextField()
    status = models.TextField(null=True)
    number = models.TextField(null=True)
    vat_number = models.TextField(null=True)
    email = models.TextField(null=True)
    phone = models.TextField(null=True)
    city = models.TextField(null=True)
    country = models.TextField(null=True)
    currency = models.TextField(null=True)

    class Meta:
        db_table = "books_contact"
        indexes = [models.Index(fields=["administration_id", "name"], name="books_contact_name")]


class PaymentTerm(BookRow):
    code = models.TextField()
    name = models.TextField()
    days = models.IntegerField(null=True)

    class Meta:
        db_table = "books_payment_term"
        indexes = [models.Index(fields=["administration_id", "code"], name="books_payment_term_code")]


class Balance(BookRow):
    account = models.TextField()
    period = models.TextField()
    ledger = models.TextField(null=True)
    branch = models.TextField(null=True)
    balance_type = models.TextField()
    opening = Amount()
    debit = Amount()
    credit = Amount()
    closing = Amount()

    class Meta:
        db_table = "books_balance"
        indexes = [models.Index(fields=["administration_id", "account"], name="books_balance_account")]


class Entry(BookRow):
    journal = models.TextField()
    module = models.TextField()
    number = models.TextField()
    period = models.TextField()
    booked_on = models.DateField()
    description = models.TextField(null=True)
    ledger = models.TextField(null=True)
    balance_type = models.TextField()
    status = models.TextField()
    currency = models.TextField(null=True)
    debit_total = Amount()
    credit_total = Amount()

    class Meta:
        db_table = "books_entry"
        indexes = [
            models.Index(fields=["administration_id", "period"], name="books_entry_period"),
            models.Index(fields=["administration_id", "booked_on"], name="books_entry_booked_on"),
        ]


class EntryLine(BookRow):
    entry = models.TextField()
    line_number = models.IntegerField()
    account = models.TextField()
    debit = Amount()
    credit = Amount()
    description = models.TextField(null=True)
    reference = models.TextField(null=True)
    vat_code = models.TextField(null=True)
    branch = models.TextField(null=True)
    project = models.TextField(null=True)
    contact = models.TextField(null=True)
    dimensions = models.TextField(null=True)
    currency = models.TextField(null=True)
    debit_in_currency = Amount(null=True)
    credit_in_currency = Amount(null=True)

    class Meta:
        db_table = "books_entry_line"
        indexes = [
            models.Index(fields=["administration_id", "entry"], name="books_entry_line_entry"),
            models.Index(fields=["administration_id", "account"], name="books_entry_line_account"),
        ]


MODELS_BY_RESOURCE: dict[str, type[BookRow]] = {
    "company_details": CompanyDetail,
    "accounts": Account,
    "vat_codes": VatCode,
    "journals": Journal,
    "periods": Period,
    "cost_codes": CostCode,
    "projects": Project,
    "contacts": Contact,
    "payment_terms": PaymentTerm,
    "balances": Balance,
    "entries": Entry,
    "entry_lines": EntryLine,
}
"""Resource key to its table. `entry_lines` is written with `entries`, never on its own."""
