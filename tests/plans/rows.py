"""Rows of fifty organisations, by SQL alone: enough that a full scan shows in the plan."""

from typing import Any

import psycopg
from django.apps import apps
from django.db.models import JSONField
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]

ORGANISATIONS = 50
MEMBERS_EACH, CONNECTIONS_EACH, GRANTS_EACH, ADMINISTRATIONS_EACH = 20, 20, 120, 100
RUNS_EACH, CHECKPOINTS_EACH = 10, 5
ENTRIES_EACH, LINES_EACH, ACCOUNTS_EACH = 1000, 2000, 100
WITH_BOOKS = 64
"""Administrations that have any: the first ones, which belong to the first organisation."""

TOKEN = "decode(repeat('ab', 900), 'hex')"
"""As long as an encrypted one: narrow rows are read from end to end sooner."""
_DEFAULTS = {
    "bool": "true",
    "bytea": r"'\x78'",
    "date": "date '2026-01-01'",
    "int2": "1",
    "int4": "1",
    "int8": "1",
    "jsonb": "'{}'",
    "numeric": "1",
    "text": "'x'",
    "timestamptz": "now() - n * interval '1 minute'",
    "varchar": "'x'",
    "uuid": "gen_random_uuid()",
}
_REQUIRED = """
SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
   AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
"""


def fill(connection: Connection) -> None:
    """As the superuser: neither policies nor keys are asked, so each row must be right by itself."""
    connection.execute("SET session_replication_role = replica")
    _fill_organisations(connection)
    _fill_runs(connection)
    _fill_books(connection)
    _fill_notifications(connection)
    connection.execute("RESET session_replication_role")
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE")


def _fill_organisations(connection: Connection) -> None:
    def owner(per_owner: int) -> str:
        return f"1 + (n - 1) / {per_owner}"

    rows(connection, "organisations_organisation", ORGANISATIONS, id="n", name="'Firm ' || n")
    members = ORGANISATIONS * MEMBERS_EACH
    rows(connection, "organisations_user", members, id="n", email="n || '@firm.example'")
    rows(
        connection,
        "organisations_membership",
        members,
        id="n",
        user_id="n",
        organisation_id=owner(MEMBERS_EACH),
    )
    rows(
        connection,
        "connections_app_registration",
        1,
        id="1",
        connector="'visma_net'",
        environment="'sandbox'",
    )
    rows(
        connection,
        "connections_connection",
        ORGANISATIONS * CONNECTIONS_EACH,
        id="n",
        state="'active'",
        app_id="1",
        account="'a' || n",
        owner_id="n",
        organisation_id=owner(CONNECTIONS_EACH),
        connector="'visma_net'",
    )
    rows(
        connection,
        "connections_grant",
        ORGANISATIONS * GRANTS_EACH,
        id="n",
        company_id="'c' || n",
        access_token=TOKEN,
        refresh_token=TOKEN,
        connection_id=owner(GRANTS_EACH // CONNECTIONS_EACH),
        organisation_id=owner(GRANTS_EACH),
        maintain_at="now() + n * interval '1 minute' - interval '50 minutes'",
    )
    administrations = ORGANISATIONS * ADMINISTRATIONS_EACH
    connection_id = owner(ADMINISTRATIONS_EACH // CONNECTIONS_EACH)
    of_organisation = {
        "id": "n",
        "organisation_id": owner(ADMINISTRATIONS_EACH),
        "connection_id": connection_id,
    }
    rows(
        connection,
        "connections_remote_company",
        administrations,
        **of_organisation,
        name="'Company ' || n",
        code="'V' || n",
        external_id="'e' || n",
    )
    rows(
        connection,
        "administrations_administration",
        administrations,
        **of_organisation,
        name="'Company ' || n",
        remote_company_id="n",
        status="'active'",
        activated_at="now()",
        number="n::text",
    )
    rows(
        connection,
        "connections_rate_limit",
        administrations,
        app_id="1",
        company="'c' || n",
        state="jsonb_build_object('quotas', repeat('x', 600))",
    )


def _fill_runs(connection: Connection) -> None:
    administrations = ORGANISATIONS * ADMINISTRATIONS_EACH
    of_run = f"1 + (n - 1) / {RUNS_EACH * ADMINISTRATIONS_EACH}"
    rows(
        connection,
        "sync_run",
        administrations * RUNS_EACH,
        id="n",
        organisation_id=of_run,
        trigger="'schedule'",
        administration_id=f"1 + (n - 1) / {RUNS_EACH}",
        state="CASE n % 500 WHEN 0 THEN 'running' WHEN 250 THEN 'queued' ELSE 'succeeded' END",
        worker="CASE n % 500 WHEN 0 THEN 'w1' ELSE '' END",
        finished_at="now()",
        heartbeat_at="now()",
    )
    rows(
        connection,
        "sync_run_resource",
        administrations * RUNS_EACH,
        run_id="n",
        organisation_id=of_run,
        resource="'entries'",
        state="'waiting'",
    )
    rows(
        connection,
        "sync_checkpoint",
        administrations * CHECKPOINTS_EACH,
        resource="'r' || n % 5",
        administration_id=f"1 + (n - 1) / {CHECKPOINTS_EACH}",
        organisation_id=f"1 + (n - 1) / {CHECKPOINTS_EACH * ADMINISTRATIONS_EACH}",
    )
    of_first = {"organisation_id": "1", "administration_id": f"1 + (n - 1) / {ENTRIES_EACH}"}
    books = WITH_BOOKS * ENTRIES_EACH
    rows(
        connection,
        "sync_read_key",
        books,
        **of_first,
        resource="'entries'",
        read_id="1",
        external_id="'E' || n",
    )
    rows(
        connection,
        "sync_change",
        books,
        **of_first,
        run_id=f"10 * (1 + (n - 1) / {ENTRIES_EACH})",
        resource="'entries'",
        external_id="'E' || n",
        kind="'changed'",
    )
    rows(
        connection,
        "sync_rejected_record",
        20_000,
        organisation_id="1 + n / 401",
        administration_id="1 + n / 5",
        resource="'entries'",
        external_id="'E' || n",
    )


def _fill_books(connection: Connection) -> None:
    def of_book(per_book: int) -> dict[str, str]:
        return {"organisation_id": "1", "administration_id": f"1 + (n - 1) / {per_book}"}

    period = "'2026' || lpad((1 + n % 12)::text, 2, '0')"
    rows(
        connection,
        "books_entry",
        WITH_BOOKS * ENTRIES_EACH,
        **of_book(ENTRIES_EACH),
        external_id="'E' || n",
        period=period,
        partition=period,
        booked_on="date '2026-01-01' + n % 365",
        status="'posted'",
        balance_type="'actual'",
    )
    rows(
        connection,
        "books_entry_line",
        WITH_BOOKS * LINES_EACH,
        **of_book(LINES_EACH),
        external_id="'L' || n",
        entry="'E' || (n + 1) / 2",
        account="(1000 + n % 100)::text",
        partition=period,
    )
    rows(
        connection,
        "books_balance",
        WITH_BOOKS * ENTRIES_EACH,
        **of_book(ENTRIES_EACH),
        period=period,
        external_id=f"'B' || n || ' ' || {period}",
        account="(1000 + n % 100)::text",
        balance_type="'actual'",
        partition=period,
    )
    rows(
        connection,
        "books_account",
        WITH_BOOKS * ACCOUNTS_EACH,
        **of_book(ACCOUNTS_EACH),
        external_id="'A' || n",
        code="(1000 + n % 100)::text",
        name="'Account ' || n",
    )


def _fill_notifications(connection: Connection) -> None:
    per_organisation = 1000
    of_organisation = {"organisation_id": f"1 + (n - 1) / {per_organisation}"}
    count, member = ORGANISATIONS * per_organisation, f"1 + (n - 1) / {per_organisation // MEMBERS_EACH}"
    rows(
        connection,
        "notifications_event",
        count,
        id="n",
        **of_organisation,
        key="'k' || n",
        event_type="'sync_failing'",
        state="CASE n % 500 WHEN 0 THEN 'pending' ELSE 'closed' END",
        due_at="now()",
    )
    rows(
        connection,
        "notifications_notification",
        count,
        id="n",
        **of_organisation,
        membership_id=member,
        event_id="n",
        event_type="'sync_failing'",
    )
    waiting = "CASE n % 500 WHEN 0 THEN 'waiting' ELSE 'sent' END"
    rows(
        connection,
        "notifications_email_delivery",
        count,
        **of_organisation,
        membership_id=member,
        notification_id="n",
        state=waiting,
        due_at="now() - interval '1 minute'",
    )
    rows(
        connection,
        "notifications_webhook_endpoint",
        ORGANISATIONS,
        id="n",
        organisation_id="n",
        is_enabled="true",
    )
    rows(
        connection,
        "notifications_webhook_delivery",
        count,
        **of_organisation,
        webhook_id=of_organisation["organisation_id"],
        event_id="n",
        message_id="gen_random_uuid()",
        state=waiting,
        due_at="now() - interval '1 minute'",
    )
    rows(
        connection,
        "company_registers_lookup",
        count,
        **of_organisation,
        country="'NO'",
        kind="'number'",
        value="n",
        due_at="CASE n % 500 WHEN 0 THEN now() - interval '1 minute' END",
    )
    rows(
        connection,
        "issues_issue",
        count,
        **of_organisation,
        subject_kind="'administration'",
        code="'c'",
        subject_id=f"1 + (n - 1) / {per_organisation // ADMINISTRATIONS_EACH}",
        resolved_at="now()",
    )
    rows(connection, "audit_entry", count, **of_organisation, action="'administration.changed'")


def rows(connection: Connection, table: str, count: int, **expressions: str) -> None:
    """`count` rows; `expressions` of SQL may use their number `n`. Columns that must have a value get any."""
    required = connection.execute(_REQUIRED, [table]).fetchall()
    values = {name: _DEFAULTS[kind] for name, kind in required} | _empty_json(table) | expressions
    values = {name: text for name, text in values.items() if name in expressions or name in dict(required)}
    connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM generate_series(1, {}) n").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.SQL(text) for text in values.values()),
            count,
        )
    )


def _empty_json(table: str) -> dict[str, str]:
    """What a column of JSON holds when it holds nothing: a list or an object."""
    models = [model for model in apps.get_models() if model._meta.db_table == table]
    fields = [
        field for model in models for field in model._meta.concrete_fields if isinstance(field, JSONField)
    ]
    return {
        field.column: "'[]'" if field.get_default() == [] else "'{}'"
        for field in fields
        if field.has_default()
    }
