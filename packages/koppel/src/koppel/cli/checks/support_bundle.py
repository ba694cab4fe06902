"""`koppel check --support-bundle FILE`: facts for support, without secrets or clients' names."""

import json
import os
import platform
import zipfile
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings

from koppel.cli.checks.result import CheckFinding
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import write_private
from koppel.kit.logging.redaction import TextLimits, redacted
from koppel.kit.tenancy import set_scope_sql

SETTINGS_IN_BUNDLE = (
    "KOPPEL_PUBLIC_URL",
    "KOPPEL_TIME_ZONE",
    "KOPPEL_DATA_DIR",
    "KOPPEL_MAIL_DIR",
    "KOPPEL_MAIL_FROM",
)
"""Settings whose values are no secret. Of the others only whether they are set, and of addresses the host."""
ADDRESSES = ("DATABASE_URL", "KOPPEL_OWNER_DATABASE_URL", "KOPPEL_SMTP_URL")
BUNDLE = TextLimits(text=20_000, items=5_000, depth=12, values=100_000, total=10_000_000)
"""Far more than a line of the log: these are tables, written once, whose size no outsider controls."""

QUERIES = {
    "connections by state": "SELECT connector, state, count(*) FROM connections_connection GROUP BY 1, 2 "
    "ORDER BY 1, 2",
    "grants": "SELECT failure_kind, failure_code, invalid_code, count(*), "
    "max(failures) AS failures,"
    " count(refresh_started_at) AS unanswered, min(expires_at) AS first_ends FROM connections_grant "
    "GROUP BY 1, 2, 3",
    "administrations by state": "SELECT status, status_code, count(*) FROM administrations_administration "
    "GROUP BY 1, 2",
    "runs by state": "SELECT state, reason_code, count(*), max(created_at) FROM sync_run GROUP BY 1, 2 "
    "ORDER BY 3 DESC",
    "open issues": "SELECT code, count(*), min(raised_at) FROM issues_issue WHERE resolved_at IS NULL "
    "GROUP BY 1",
    "jobs": "SELECT task_name, status, count(*), max(attempts) FROM procrastinate_jobs GROUP BY 1, 2",
    "sizes": "SELECT relname, n_live_tup, pg_total_relation_size(relid) AS bytes FROM pg_stat_user_tables"
    " ORDER BY 3 DESC LIMIT 30",
    "database sessions": "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2",
}


def write_bundle(file: Path, findings: Sequence[CheckFinding]) -> None:
    """Write a ZIP of JSON files, readable by its owner only. Raises `CommandError`."""
    try:
        write_private(file, "")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}.") from None
    parts = {
        "check.json": [
            {"topic": finding.topic, "ok": finding.is_ok, "text": finding.text} for finding in findings
        ],
        "versions.json": _versions(),
        "settings.json": _settings(),
        "state.json": _state(),
    }
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in parts.items():
            # The log's own rule goes over all of it once more: nothing that looks like a secret leaves.
            clean = redacted({"content": json.loads(json.dumps(content, default=str))}, BUNDLE)
            bundle.writestr(name, json.dumps(clean["content"], indent=1, ensure_ascii=False))


def _versions() -> dict[str, Any]:
    packages = {distribution.metadata["Name"]: distribution.version for distribution in distributions()}
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": dict(sorted(packages.items())),
    }


def _settings() -> dict[str, str]:
    names = sorted(
        {*SETTINGS_IN_BUNDLE, *ADDRESSES, *(name for name in os.environ if name.startswith("KOPPEL_"))}
    )
    return {name: _setting_for_bundle(name, os.environ.get(name)) for name in names} | {
        "LANGUAGES": str(settings.LANGUAGES)
    }


def _setting_for_bundle(name: str, value: str | None) -> str:
    if value is None:
        return "not set"
    if name in ADDRESSES:
        # Parsed as text: an address may have several hosts with a port
        # each, and the part before an @ is never shown.
        scheme, mark, rest = value.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}" if mark else "set"
    return value if name in SETTINGS_IN_BUNDLE else "set"


def _state() -> dict[str, Any]:
    state: dict[str, Any] = {}
    try:
        with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
            for topic, query in QUERIES.items():
                with connection.transaction():
                    connection.execute(*set_scope_sql(0))
                    state[topic] = _run_query(connection, query)
    except psycopg.Error as error:
        state["error"] = type(error).__name__
    return state


def _run_query(connection: psycopg.Connection[Any], query: str) -> Any:
    try:
        with connection.transaction():
            result = connection.execute(query.encode())
            names = [column.name for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    except psycopg.Error as error:
        return f"cannot be read ({type(error).__name__})"
