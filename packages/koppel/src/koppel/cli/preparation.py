"""Prepare an empty or older database: migrations, and in the demo the firm."""

import os
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import structlog
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from koppel.books.sql_access.views import views_are_missing
from koppel.cli.demo import seed
from koppel.cli.environment import OWNER_MISSING
from koppel.cli.stack import DemoAccounts, SignIn
from koppel.kit import quarantine
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.locks import LockName, LockTimeout, session_lock
from koppel.kit.tenancy.id_ranges import number_conflict, ranges_are_missing
from koppel.kit.tenancy.migration_history import reason_unusable
from koppel.kit.tenancy.privileges import grants_are_missing
from koppel.organisations import bootstrap as organisation_bootstrap
from koppel.organisations.roles import Role

MIGRATION_REPORT_SECONDS = 60
log = structlog.get_logger(__name__)


def migrate(*, verbosity: int = 0) -> None:
    """Migrate the database to this version, as the owner. Raises `CommandError` when it needs migrating and
    this is impossible.

    After the last migration ranges of ids are set, rights granted and views made, also by a later run when an
    earlier one died before. One process migrates at a time; others wait for it.
    """
    with ExitStack() as until_done:
        while True:
            try:
                until_done.enter_context(
                    session_lock(LockName.MIGRATION, timeout_seconds=MIGRATION_REPORT_SECONDS)
                )
            except LockTimeout:
                log.warning("waiting_for_migration", reason="Another process migrates this database.")
            else:
                break
        _migrate(verbosity=verbosity)


def _migrate(*, verbosity: int) -> None:
    has_owner = bool(os.environ.get("KOPPEL_OWNER_DATABASE_URL"))
    alias = "owner" if has_owner else "default"
    if reason := reason_unusable(alias):
        raise CommandError(reason)
    if conflict := number_conflict(alias):
        raise CommandError(conflict)
    if not pending_migrations(alias) and not (has_owner and _is_unfinished("owner")):
        return
    if not has_owner:
        raise CommandError(OWNER_MISSING)
    call_command("migrate", database="owner", verbosity=verbosity, interactive=False)


def _is_unfinished(alias: str) -> bool:
    """Return whether the steps after the migrations are missing, as the owner sees it."""
    return ranges_are_missing(alias) or grants_are_missing(alias) or views_are_missing(alias)


def pending_migrations(alias: str) -> list[str]:
    """Return `app.name` of the migrations that this version has and the database has not."""
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return [f"{migration.app_label}.{migration.name}" for migration, _backwards in plan]


def migrations_of_this_version() -> set[str]:
    """Return `app.name` of all migrations of the installed version."""
    loader = MigrationLoader(None)
    return {f"{app}.{name}" for app, name in loader.disk_migrations}


def seed_demo(sandbox_url: str, public_url: str) -> dict[str, Any]:
    """Create the demo firm if it is missing. Return the facts to print: see the demo's facts."""
    seed.seed(sandbox_url, public_url)
    people = tuple(
        SignIn(
            email=person.email, name=person.name, role=str(Role(person.role).label), password=seed.PASSWORD
        )
        for person in seed.PEOPLE
    )
    return asdict(
        DemoAccounts(people=people, sandbox_user=seed.SANDBOX_USER, sandbox_password=seed.SANDBOX_PASSWORD)
    )


def quarantine_sentence() -> str:
    """Return the message for an installation in quarantine; '' for another."""
    period = quarantine.current()
    return period.sentence if period else ""


def installation_state() -> str:
    """Return the state of this installation: `empty`, `waiting` or `ready`."""
    return str(organisation_bootstrap.installation_state())
