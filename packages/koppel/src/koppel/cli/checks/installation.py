"""Check the installation: database, keys, organisations, builds. Each finding says what to do."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, date, datetime

import psycopg

from koppel.books.sql_access.privileges import excess_privileges, other_databases, reader_roles, remedy_of
from koppel.cli.checks.audit_log import check_audit_log
from koppel.cli.checks.backups import check_backups
from koppel.cli.checks.connectivity import check_addresses, check_mail, check_name_servers
from koppel.cli.checks.failover import check_standbys
from koppel.cli.checks.programs import check_programs
from koppel.cli.checks.requirements import check_key_form, check_secret_key, collect_requirements
from koppel.cli.checks.result import CheckFinding, advice
from koppel.cli.environment import require_reachable
from koppel.cli.first_steps import CREATE_ORGANISATION, PRINT_LINK, shell_command
from koppel.cli.ports import responds
from koppel.connections.vault import key_uses
from koppel.kit import quarantine
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import PUBLISHED, administrator_url, is_free
from koppel.kit.encryption import keyring
from koppel.kit.quarantine import Reason, installation_identity
from koppel.kit.tenancy.id_ranges import number_conflict, stored_number
from koppel.kit.tenancy.installation_number import id_range
from koppel.kit.web import paths
from koppel.organisations.bootstrap import InstallationState, installation_state, list_organisation_summaries
from koppel.sync.engine import normalisation_progress
from koppel.web.build.built import stale_build_warnings
from koppel.web.build.static_files import outdated_groups

INSTALLATION_NUMBER = "installation number"
STORED_ROWS = "stored rows"
POSTGRES_VERSION_MIN = 150000
QUARTER_DAYS = 100
"""PostgreSQL publishes fixes every quarter; some days are for the wheel and the upgrade."""


def run_checks(web_port: int) -> list[CheckFinding]:
    """Run all checks, in the order of repair. Later ones are skipped when the database does not answer."""
    results = [_database_answers()]
    if results[0].is_ok:
        results += _embedded_database_age()
        results += [
            *check_standbys(),
            *collect_requirements(),
            *_installation_number(),
            *_quarantine(),
            *_host(),
        ]
    if all(finding.is_ok for finding in results if finding.topic in ("database", "migrations")):
        results += [*_organisations(), *_sql_readers(), *check_audit_log(), *check_programs()]
        results += [*_stored_rows(), *check_name_servers()]
    return [
        *results,
        _vault_keys(database_answers=results[0].is_ok),
        check_secret_key(),
        *check_addresses(web_port),
        check_mail(),
        *check_backups(),
        _web_port(web_port),
        *_build_warnings(),
    ]


def _database_answers() -> CheckFinding:
    try:
        for name in ("DATABASE_URL", "KOPPEL_OWNER_DATABASE_URL"):
            if url := os.environ.get(name):
                require_reachable(url, name)
    except CommandError as refusal:
        return CheckFinding("database", False, str(refusal))
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        version = connection.info.server_version
    if version < POSTGRES_VERSION_MIN:
        return CheckFinding(
            "database", False, f"PostgreSQL {version // 10000} is too old; Koppel needs 15 or newer."
        )
    return CheckFinding("database", True, f"PostgreSQL {version // 10000}.{version % 10000} answers.")


def _embedded_database_age(today: date | None = None) -> Iterator[CheckFinding]:
    """Report an outdated embedded server; nothing about an external one."""
    if not administrator_url():
        return
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        version = connection.info.server_version
    name = f"{version // 10000}.{version % 10000}"
    published = PUBLISHED.get(name)
    days = ((today or datetime.now(UTC).date()) - published).days if published else None
    if days is None:
        yield CheckFinding(
            "embedded database", True, f"PostgreSQL {name}; its date is not known to this Koppel."
        )
    elif days <= QUARTER_DAYS:
        yield CheckFinding("embedded database", True, f"PostgreSQL {name} is {days} days old.")
    else:
        text = (
            f"PostgreSQL {name} is {days} days old, and fixes come every quarter: upgrade Koppel, "
            "or use a server of your own (DATABASE_URL; docs/operations.md, Roles)."
        )
        yield advice("embedded database", text)


def _installation_number() -> Iterator[CheckFinding]:
    """Return nothing before the first migration."""
    number = stored_number("default")
    if conflict := number_conflict("default"):
        yield CheckFinding(INSTALLATION_NUMBER, False, conflict)
    elif number is not None:
        first, last = id_range(number)
        yield CheckFinding(
            INSTALLATION_NUMBER, True, f"This is installation {number}: its ids are {first} to {last}."
        )


COPY_REASONS = {
    Reason.RESTORED: "It was restored from a backup.",
    Reason.REPLACED: "Another installation took its place.",
    Reason.MISSING_ID: "Neither installation.json in the data directory nor KOPPEL_INSTALLATION_ID says that"
    " this machine belongs to the database.",
    Reason.OTHER_ID: "The database belongs to another installation than this machine's data directory"
    " (installation.json) or KOPPEL_INSTALLATION_ID.",
    Reason.OTHER_SERVER: "The database was copied to another server.",
    Reason.OLDER: "The database was reset to an earlier moment.",
}


def _quarantine() -> Iterator[CheckFinding]:
    if (period := quarantine.current()) is not None:
        by = f" by {period.by}" if period.by else ""
        end = "`koppel quarantine off` ends it."
        if period.reason.is_copy:
            end = f"{COPY_REASONS[period.reason]} `koppel adopt` ends it."
        text = (
            f"Koppel is in quarantine since {period.since:%Y-%m-%d %H:%M %Z}{by}: "
            f"it makes no calls and sends no mail or"
            f" webhooks. {end}"
        )
        yield advice("quarantine", text)


def _host() -> Iterator[CheckFinding]:
    """Report a data directory that another machine wrote."""
    host, before = socket.gethostname(), installation_identity.first_host()
    if before not in ("", host):
        text = (
            f"This data directory was begun on {before} and is used on {host}. If both have one, start the"
            " copy with --quarantined."
        )
        yield advice("host", text)


def _organisations() -> Iterator[CheckFinding]:
    home = os.environ["KOPPEL_DATA_DIR"]
    state = installation_state()
    if state is InstallationState.EMPTY:
        text = (
            f"There is no organisation yet, so no user can sign in. Create one: "
            f"{shell_command(CREATE_ORGANISATION, home)}"
        )
        yield CheckFinding("organisations", False, text)
        return
    organisations = list_organisation_summaries()
    if state is InstallationState.WAITING:
        text = f"Nobody has opened the link to sign in yet. A new one: {shell_command(PRINT_LINK, home)}"
        yield CheckFinding("organisations", False, text)
    else:
        people = sum(organisation.people for organisation in organisations)
        yield CheckFinding(
            "organisations",
            True,
            f"Organisations: {len(organisations)}, with {people} people who may sign in.",
        )
    for organisation in organisations:
        if not organisation.administrators and not organisation.invited:
            remedy = shell_command(
                f"organisations add-administrator {organisation.id} --email you@firm.example", home
            )
            yield advice(
                "organisations", f"{organisation.name} has no Administrator who may sign in: {remedy}"
            )


def _sql_readers() -> Iterator[CheckFinding]:
    """Check the privileges of PUBLIC and each reader in this database (connect, temporary tables, schemas,
    objects in `public`), and the other databases to which everybody may connect. Nothing without readers.
    """
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        roles = reader_roles(connection)
        if not roles:
            return
        excess = excess_privileges(connection, connection.info.user)
        databases = other_databases(connection)
    if excess:
        sentences = "; ".join(privilege.message for privilege in excess)
        text = f"{sentences}. {remedy_of(excess)}"
        yield CheckFinding("sql readers", False, text)
    else:
        yield CheckFinding(
            "sql readers", True, f"SQL readers: {len(roles)}; none may do more than read the books."
        )
    if databases:
        revoke = f"REVOKE CONNECT ON DATABASE {', '.join(databases)} FROM PUBLIC"
        yield advice(
            "sql readers",
            f"They may connect to other databases of the server as well, as everybody may: {revoke}.",
        )


def _stored_rows() -> Iterator[CheckFinding]:
    """Report how far the stored rows are as this version normalises them; nothing without stored rows."""
    progress = normalisation_progress()
    if not progress.administrations:
        return
    if progress.waiting_resources:
        done = progress.resources - progress.waiting_resources
        yield advice(
            STORED_ROWS,
            f"{progress.waiting_administrations} of {progress.administrations} administrations may have rows "
            f"that another version of Koppel normalised; {done} of {progress.resources} resources are done. "
            "Workers do the others without calls to the accounting system; `koppel books renormalise --all` "
            "does those of an organisation at once.",
        )
    else:
        yield CheckFinding(
            STORED_ROWS,
            True,
            f"The rows of {progress.administrations} administrations are as this version normalises them.",
        )
    if progress.rejected_rows:
        yield advice(
            STORED_ROWS,
            f"{progress.rejected_rows} rows keep the columns of an older version, because this one cannot "
            "normalise them: a full sync reads them again, or rejects them by name.",
        )


def _vault_keys(*, database_answers: bool) -> CheckFinding:
    form = check_key_form()
    if not form.is_ok or not database_answers:
        return form
    return _encrypted_secrets() or form


def _encrypted_secrets() -> CheckFinding | None:
    """Report secrets that the keys do not open, or that should be encrypted again; None when all use the
    current key.
    """
    try:
        uses = key_uses()
    except Exception as error:
        return CheckFinding(
            "vault keys", False, f"The sealed secrets cannot be read: {str(error).splitlines()[0]}"
        )
    if broken := [use for use in uses if use.reason]:
        count = sum(use.unreadable for use in broken)
        return CheckFinding(
            "vault keys",
            False,
            f"{count} tokens and client secrets cannot be opened, among {sum(use.secrets for use in uses)}: "
            f"{broken[0].reason} Nothing was changed; they open again with the right key.",
        )
    current = keyring().current
    if older := [use for use in uses if use.key != current]:
        count, names = sum(use.secrets for use in older), ", ".join(use.key for use in older)
        return CheckFinding(
            "vault keys",
            True,
            f"New secrets are sealed with key {current}; {count} still need {names}. "
            f"`koppel keys rotate` moves them.",
        )
    return None


def _build_warnings() -> Iterator[CheckFinding]:
    for shortcoming in stale_build_warnings(outdated_groups()):
        yield advice("installation", shortcoming)


def _web_port(port: int) -> CheckFinding:
    if is_free(port):
        return CheckFinding("port", True, f"Port {port} is free.")
    if responds(port, paths.READY):
        return CheckFinding("port", True, f"Something healthy, presumably Koppel, listens on port {port}.")
    return CheckFinding(
        "port", False, f"Port {port} is taken by another program; stop it, or choose another with --port."
    )
