import koppel.books.fields
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import PINNED, partitioned_by_hash, tenant_key, tenant_key_by_statement, tenant_table

PARTITIONS = 16
LARGE = ("books_entry_line", "books_entry", "books_balance")
READERS = f"""
CREATE SCHEMA koppel_readers;
REVOKE ALL ON SCHEMA koppel_readers FROM PUBLIC;
CREATE TABLE koppel_readers.reader (
  role name PRIMARY KEY CHECK (role LIKE 'koppel\\_reader\\_%'),
  organisation_id bigint NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by text NOT NULL
);
CREATE FUNCTION public.koppel_reader_organisation(asking name) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER {PINNED} AS $$
DECLARE organisation bigint;
BEGIN
  -- A role may ask about itself alone; a superuser may take any.
  SELECT reader.organisation_id INTO organisation FROM koppel_readers.reader
   WHERE reader.role = asking AND (asking = session_user OR EXISTS (
     SELECT FROM pg_roles WHERE pg_roles.rolname = session_user AND pg_roles.rolsuper));
  IF organisation IS NULL THEN
    RAISE EXCEPTION '% may read no organisation', asking USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN organisation;
END $$;
REVOKE ALL ON FUNCTION public.koppel_reader_organisation(name) FROM PUBLIC;
CREATE FUNCTION public.koppel_end_reader_sessions(
  statement_seconds integer, transaction_seconds integer, lock_seconds integer
) RETURNS TABLE (role name, reason text) LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$
BEGIN
  IF NOT pg_has_role(current_user, 'pg_signal_backend', 'MEMBER') THEN
    RETURN; -- the superuser script was not run; koppel check says so
  END IF;
  RETURN QUERY
  WITH blocking AS (
    SELECT DISTINCT unnest(pg_blocking_pids(waiting.pid)) AS pid FROM pg_locks waiting
     WHERE NOT waiting.granted AND waiting.waitstart < clock_timestamp() - make_interval(secs => lock_seconds)
  ), excessive AS MATERIALIZED (
    SELECT session.pid, session.usename, CASE
      WHEN session.pid IN (SELECT blocking.pid FROM blocking) THEN 'lock'
      WHEN session.state = 'active'
        AND session.query_start < clock_timestamp() - make_interval(secs => statement_seconds) THEN 'statement'
      WHEN session.xact_start < clock_timestamp() - make_interval(secs => transaction_seconds) THEN 'transaction'
      END AS reason
      FROM pg_stat_activity session
     WHERE starts_with(session.usename, 'koppel_reader_')
        OR session.usename IN (SELECT reader.role FROM koppel_readers.reader)
  )
  SELECT excessive.usename, excessive.reason FROM excessive
   WHERE excessive.reason IS NOT NULL AND pg_terminate_backend(excessive.pid);
END $$;
REVOKE ALL ON FUNCTION public.koppel_end_reader_sessions(integer, integer, integer) FROM PUBLIC;
"""
"""Roles that read the books by SQL: which organisation each belongs to stands in a table that only the owner
may touch.
"""


def _large_tables():
    for table in LARGE:
        yield partitioned_by_hash(table, "administration_id", "administration_id, external_id", count=PARTITIONS)
        yield tenant_table(table)
        yield tenant_key_by_statement(table, "administration_id", "administrations_administration")


class Migration(migrations.Migration):
    """The large tables lie in partitions by administration: indexes stay shallow, a sync writes one of them,
    and all that is read or written together lies together. They ask once per statement for their
    administration. See docs/decisions/.
    """

    initial = True

    dependencies = [
        ('administrations', '0001_initial'),
        ('kit', '0001_initial'),
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='CompanyDetail',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('name', models.TextField()),
                ('kind', models.TextField(null=True)),
                ('number', models.TextField(null=True)),
                ('vat_number', models.TextField(null=True)),
                ('country', models.TextField(null=True)),
                ('base_currency', models.TextField(null=True)),
                ('address', models.TextField(null=True)),
                ('city', models.TextField(null=True)),
                ('industry_code', models.TextField(null=True)),
            ],
            options={
                'db_table': 'books_company_detail',
            },
        ),
        migrations.CreateModel(
            name='Account',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('kind', models.TextField()),
                ('account_class', models.TextField(null=True)),
                ('active', models.BooleanField()),
                ('currency', models.TextField(null=True)),
                ('vat_code', models.TextField(null=True)),
            ],
            options={
                'db_table': 'books_account',
                'indexes': [models.Index(fields=['administration_id', 'code'], name='books_account_code')],
            },
        ),
        migrations.CreateModel(
            name='Balance',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('account', models.TextField()),
                ('period', models.TextField()),
                ('ledger', models.TextField(null=True)),
                ('branch', models.TextField(null=True)),
                ('balance_type', models.TextField()),
                ('opening', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
                ('debit', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
                ('credit', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
                ('closing', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
            ],
            options={
                'db_table': 'books_balance',
                'indexes': [models.Index(fields=['administration_id', 'account'], name='books_balance_account')],
            },
        ),
        migrations.CreateModel(
            name='Contact',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('kind', models.TextField()),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('status', models.TextField(null=True)),
                ('number', models.TextField(null=True)),
                ('vat_number', models.TextField(null=True)),
                ('email', models.TextField(null=True)),
                ('phone', models.TextField(null=True)),
                ('city', models.TextField(null=True)),
                ('country', models.TextField(null=True)),
                ('currency', models.TextField(null=True)),
            ],
            options={
                'db_table': 'books_contact',
                'indexes': [models.Index(fields=['administration_id', 'name'], name='books_contact_name')],
            },
        ),
        migrations.CreateModel(
            name='CostCode',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('dimension', models.TextField()),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('active', models.BooleanField()),
            ],
            options={
                'db_table': 'books_cost_code',
                'indexes': [models.Index(fields=['administration_id', 'code'], name='books_cost_code_code')],
            },
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('journal', models.TextField()),
                ('module', models.TextField()),
                ('number', models.TextField()),
                ('period', models.TextField()),
                ('booked_on', models.DateField()),
                ('description', models.TextField(null=True)),
                ('ledger', models.TextField(null=True)),
                ('balance_type', models.TextField()),
                ('status', models.TextField()),
                ('currency', models.TextField(null=True)),
                ('debit_total', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
                ('credit_total', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
            ],
            options={
                'db_table': 'books_entry',
                'indexes': [models.Index(fields=['administration_id', 'period'], name='books_entry_period'), models.Index(fields=['administration_id', 'booked_on'], name='books_entry_booked_on')],
            },
        ),
        migrations.CreateModel(
            name='EntryLine',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('entry', models.TextField()),
                ('line_number', models.IntegerField()),
                ('account', models.TextField()),
                ('debit', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
                ('credit', koppel.books.fields.Amount(decimal_places=100, max_digits=1000)),
                ('description', models.TextField(null=True)),
                ('reference', models.TextField(null=True)),
                ('vat_code', models.TextField(null=True)),
                ('branch', models.TextField(null=True)),
                ('project', models.TextField(null=True)),
                ('contact', models.TextField(null=True)),
                ('dimensions', models.TextField(null=True)),
                ('currency', models.TextField(null=True)),
                ('debit_in_currency', koppel.books.fields.Amount(decimal_places=100, max_digits=1000, null=True)),
                ('credit_in_currency', koppel.books.fields.Amount(decimal_places=100, max_digits=1000, null=True)),
            ],
            options={
                'db_table': 'books_entry_line',
                'indexes': [models.Index(fields=['administration_id', 'entry'], name='books_entry_line_entry'), models.Index(fields=['administration_id', 'account'], name='books_entry_line_account')],
            },
        ),
        migrations.CreateModel(
            name='Journal',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('ledger', models.TextField(null=True)),
                ('module', models.TextField(null=True)),
                ('balance_type', models.TextField()),
                ('currency', models.TextField(null=True)),
            ],
            options={
                'db_table': 'books_journal',
                'indexes': [models.Index(fields=['administration_id', 'code'], name='books_journal_code')],
            },
        ),
        migrations.CreateModel(
            name='PaymentTerm',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('days', models.IntegerField(null=True)),
            ],
            options={
                'db_table': 'books_payment_term',
                'indexes': [models.Index(fields=['administration_id', 'code'], name='books_payment_term_code')],
            },
        ),
        migrations.CreateModel(
            name='Period',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('period', models.TextField()),
                ('fiscal_year', models.TextField()),
                ('number', models.IntegerField()),
                ('name', models.TextField(null=True)),
                ('starts_on', models.DateField(null=True)),
                ('ends_on', models.DateField(null=True)),
                ('closed', models.BooleanField()),
            ],
            options={
                'db_table': 'books_period',
                'indexes': [models.Index(fields=['administration_id', 'period'], name='books_period_period')],
            },
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('status', models.TextField(null=True)),
                ('customer', models.TextField(null=True)),
                ('starts_on', models.DateField(null=True)),
                ('ends_on', models.DateField(null=True)),
            ],
            options={
                'db_table': 'books_project',
                'indexes': [models.Index(fields=['administration_id', 'code'], name='books_project_code')],
            },
        ),
        migrations.CreateModel(
            name='VatCode',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
                ('partition', models.TextField(default='')),
                ('raw', models.BinaryField()),
                ('content_hash', models.BinaryField()),
                ('first_seen', models.DateTimeField()),
                ('last_changed', models.DateTimeField()),
                ('deleted_at', models.DateTimeField(null=True)),
                ('code', models.TextField()),
                ('name', models.TextField()),
                ('rate', koppel.books.fields.Amount(decimal_places=100, max_digits=1000, null=True)),
                ('direction', models.TextField(null=True)),
                ('reverse_charge', models.BooleanField()),
                ('valid_until', models.DateField(null=True)),
            ],
            options={
                'db_table': 'books_vat_code',
                'indexes': [models.Index(fields=['administration_id', 'code'], name='books_vat_code_code')],
            },
        ),
        tenant_table("books_company_detail"),
        tenant_table("books_account"),
        tenant_table("books_vat_code"),
        tenant_table("books_journal"),
        tenant_table("books_period"),
        tenant_table("books_cost_code"),
        tenant_table("books_project"),
        tenant_table("books_contact"),
        tenant_table("books_payment_term"),
        tenant_key("books_company_detail", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_account", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_vat_code", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_journal", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_period", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_cost_code", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_project", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_contact", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("books_payment_term", "administration_id", "administrations_administration", on_delete="CASCADE"),
        *_large_tables(),
        migrations.RunSQL(
            READERS,
            "DROP FUNCTION public.koppel_end_reader_sessions(integer, integer, integer);"
            " DROP FUNCTION public.koppel_reader_organisation(name); DROP SCHEMA koppel_readers CASCADE",
        ),
    ]
